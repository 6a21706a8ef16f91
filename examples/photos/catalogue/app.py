"""catalogue: a row in the table `pictures` for each object that appears in the bucket `thumbs`."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus

import boto3

S3 = boto3.client("s3", region_name="us-east-1")
TABLE = boto3.resource("dynamodb", region_name="us-east-1").Table("pictures")


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Write what is known of each; an event that comes twice writes the same row."""
    del context
    records = [one["s3"] for one in event.get("Records", [])]
    for record in records:
        bucket, key = record["bucket"]["name"], unquote_plus(record["object"]["key"])
        head = S3.head_object(Bucket=bucket, Key=key)
        row = {"key": key, "format": head["ContentType"], "bytes": head["ContentLength"]}
        TABLE.put_item(Item=row)
        print(f"{key} is in the catalogue")
    return {"rows": len(records)}
