"""What the manifests' triggers made, so that it can be shown and taken away again."""
