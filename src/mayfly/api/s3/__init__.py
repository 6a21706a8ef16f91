"""S3's face of the object store: routes, signatures of streams, documents and errors."""
