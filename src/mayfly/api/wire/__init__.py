"""AWS's protocols, both ways, from the service models that botocore ships."""
