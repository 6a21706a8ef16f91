"""The service "dynamodb": tables and items, as DynamoDB has them, on `stores.tables`."""
