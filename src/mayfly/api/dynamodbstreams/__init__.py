"""The service "dynamodbstreams": what happened to items, on `stores.tables`."""
