"""From method, address and query to the operation: S3 tells most of them apart by a query name.

    PUT /photos/a.jpg            PutObject
    PUT /photos/a.jpg?tagging    PutObjectTagging

A table per level. What S3 has and the table lacks is refused by name, and never taken for a plain
read or write of the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from mayfly.api.message import Headers
from mayfly.api.s3 import (
    buckets,
    copying,
    deleting,
    listing,
    multipart,
    notifications,
    objects,
    settings,
)
from mayfly.api.s3.address import Address
from mayfly.api.s3.call import Operation, Query
from mayfly.api.s3.refusals import MethodNotAllowed, NotImplementedInS3
from mayfly.api.s3.selectors import SELECTORS
from mayfly.api.wire.match import match_operation
from mayfly.api.wire.model import service_model

Table = Mapping[tuple[str, str], Operation]

_OBJECT: Table = {
    ("GET", ""): objects.get_object,
    ("HEAD", ""): objects.head_object,
    ("PUT", ""): objects.put_object,
    ("DELETE", ""): objects.delete_object,
    ("GET", "attributes"): objects.get_object_attributes,
    ("POST", "uploads"): multipart.create_multipart_upload,
    ("PUT", "uploadId"): multipart.upload_part,
    ("GET", "uploadId"): multipart.list_parts,
    ("POST", "uploadId"): multipart.complete_multipart_upload,
    ("DELETE", "uploadId"): multipart.abort_multipart_upload,
    ("GET", "tagging"): settings.get_object_tags,
    ("PUT", "tagging"): settings.put_object_tags,
    ("DELETE", "tagging"): settings.delete_object_tags,
    ("GET", "acl"): settings.get_object_acl,
    ("PUT", "acl"): settings.put_acl,
}

_BUCKET: Table = {
    ("GET", ""): listing.list_objects,
    ("HEAD", ""): buckets.head_bucket,
    ("PUT", ""): buckets.create_bucket,
    ("DELETE", ""): buckets.delete_bucket,
    ("GET", "list-type"): listing.list_objects_v2,
    ("GET", "versions"): listing.list_object_versions,
    ("GET", "uploads"): listing.list_multipart_uploads,
    ("POST", "delete"): deleting.delete_objects,
    ("GET", "location"): buckets.get_bucket_location,
    ("GET", "versioning"): settings.get_versioning,
    ("PUT", "versioning"): settings.put_versioning,
    ("GET", "tagging"): settings.get_bucket_tags,
    ("PUT", "tagging"): settings.put_bucket_tags,
    ("DELETE", "tagging"): settings.delete_bucket_tags,
    ("GET", "cors"): settings.get_cors,
    ("PUT", "cors"): settings.put_cors,
    ("DELETE", "cors"): settings.delete_cors,
    ("GET", "notification"): notifications.get_notifications,
    ("PUT", "notification"): notifications.put_notifications,
    ("GET", "acl"): settings.get_bucket_acl,
    ("PUT", "acl"): settings.put_acl,
    ("GET", "publicAccessBlock"): settings.get_public_access,
    ("PUT", "publicAccessBlock"): settings.put_public_access,
    ("DELETE", "publicAccessBlock"): settings.without_effect("DeletePublicAccessBlock"),
    ("GET", "ownershipControls"): settings.get_ownership,
    ("PUT", "ownershipControls"): settings.put_ownership,
    ("GET", "policyStatus"): settings.answering(
        "GetBucketPolicyStatus", "PolicyStatus", "<IsPublic>FALSE</IsPublic>"
    ),
    ("GET", "logging"): settings.answering("GetBucketLogging", "BucketLoggingStatus"),
    ("GET", "accelerate"): settings.answering(
        "GetBucketAccelerateConfiguration", "AccelerateConfiguration"
    ),
    ("GET", "requestPayment"): settings.answering(
        "GetBucketRequestPayment", "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"
    ),
    ("GET", "policy"): settings.lacking(
        "GetBucketPolicy", "NoSuchBucketPolicy", "The bucket policy does not exist"
    ),
    ("DELETE", "policy"): settings.without_effect("DeleteBucketPolicy"),
    ("GET", "lifecycle"): settings.lacking(
        "GetBucketLifecycleConfiguration",
        "NoSuchLifecycleConfiguration",
        "The lifecycle configuration does not exist",
    ),
    ("DELETE", "lifecycle"): settings.without_effect("DeleteBucketLifecycle"),
    ("GET", "encryption"): settings.lacking(
        "GetBucketEncryption",
        "ServerSideEncryptionConfigurationNotFoundError",
        "The server side encryption configuration was not found",
    ),
    ("DELETE", "encryption"): settings.without_effect("DeleteBucketEncryption"),
    ("GET", "website"): settings.lacking(
        "GetBucketWebsite",
        "NoSuchWebsiteConfiguration",
        "The specified bucket does not have a website configuration",
    ),
    ("DELETE", "website"): settings.without_effect("DeleteBucketWebsite"),
    ("GET", "replication"): settings.lacking(
        "GetBucketReplication",
        "ReplicationConfigurationNotFoundError",
        "The replication configuration was not found",
    ),
    ("DELETE", "replication"): settings.without_effect("DeleteBucketReplication"),
    ("GET", "object-lock"): settings.lacking(
        "GetObjectLockConfiguration",
        "ObjectLockConfigurationNotFoundError",
        "Object Lock configuration does not exist for this bucket",
    ),
}

_PLATFORM: Table = {("GET", ""): buckets.list_buckets}


def find_operation(method: str, address: Address, query: Query, headers: Headers) -> Operation:
    """The operation that a request asks for.

    Raises:
        NotImplementedInS3: S3 has it, Mayfly has not.
        MethodNotAllowed: Nobody has it.
    """
    selector = ""
    if query:
        found = [one for one in query if one in SELECTORS]
        selector = found[0] if len(found) == 1 else "".join(sorted(found))
    table = _OBJECT if address.key else _BUCKET if address.bucket else _PLATFORM
    operation = table.get((method, selector))
    if operation is None:
        raise _refusal(method, address, query, headers)
    if method == "PUT" and address.key and "x-amz-copy-source" in headers:
        if operation is objects.put_object:
            return copying.copy_object
        if operation is multipart.upload_part:
            return copying.upload_part_copy
    return operation


def _refusal(
    method: str, address: Address, query: Query, headers: Headers
) -> NotImplementedInS3 | MethodNotAllowed:
    path = f"/{address.bucket or ''}"
    if address.key:
        path += f"/{quote(address.key)}"
    found = match_operation(
        service_model("s3"),
        method=method,
        raw_path=path,
        query=list(query.items()),
        headers=frozenset(name for name, _ in headers.items()),
        target="",
        form=[],
    )
    if found is None:
        return MethodNotAllowed(Method=method, ResourceType="OBJECT" if address.key else "BUCKET")
    return NotImplementedInS3(f"Mayfly does not implement s3:{found[0].name}.")
