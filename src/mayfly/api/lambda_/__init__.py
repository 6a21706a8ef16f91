"""api/lambda_."""
