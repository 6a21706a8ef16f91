"""A bucket's settings, and tags: what can be changed, and what a private bucket answers anyway.

Mayfly's buckets have one owner, and nobody else is ever let in. So the settings that could open
one are answered as S3 answers for such a bucket, and can only be set to what they are already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

from mayfly.api.message import Response
from mayfly.api.permits import require_grant, require_owner
from mayfly.api.s3.buckets import DOCUMENT_BYTES_MAX, OWNER
from mayfly.api.s3.call import Call, Operation
from mayfly.api.s3.cors import METHODS
from mayfly.api.s3.documents import document, element, read_as, written_as, xml_answer
from mayfly.api.s3.facts import (
    OBJECT_TAGS_MAX,
    AccessControlListNotSupported,
    checked_tags,
    require_honoured,
    version_headers,
)
from mayfly.api.s3.payload import read_document
from mayfly.api.s3.refusals import (
    InvalidRequest,
    MalformedXml,
    NoSuchConfiguration,
    NotImplementedInS3,
)
from mayfly.api.wire.params import Params
from mayfly.model.function import ACCOUNT_ID
from mayfly.model.grant import GrantKind
from mayfly.stores.objects.bucket import BucketSettings, CorsRule, Versioning

_BUCKET_TAGS_MAX = 50
_CORS_RULES_MAX = 100
_ACL = (
    f"<Owner>{OWNER}</Owner><AccessControlList><Grant>"
    '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    f"{OWNER}</Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>"
)
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def structures(params: Params, name: str) -> Sequence[Params]:
    """A list of structures; none where it was not sent."""
    return cast("Sequence[Params]", params.get(name, ()))


def _settings(call: Call, operation: str) -> BucketSettings:
    require_owner(call.principal, f"s3:{operation}")
    return call.store.buckets.find_nowait(call.bucket).settings


async def get_versioning(call: Call) -> Response:
    """GetBucketVersioning."""
    versioning = _settings(call, "GetBucketVersioning").versioning
    status = element("Status", versioning) if versioning else ""
    return xml_answer(document("VersioningConfiguration", status))


async def put_versioning(call: Call) -> Response:
    """PutBucketVersioning."""
    _settings(call, "PutBucketVersioning")
    read = read_as(
        "VersioningConfiguration", await read_document(call, bytes_max=DOCUMENT_BYTES_MAX)
    )
    status = read.text("Status")
    if read.text("MFADelete") == "Enabled":
        raise NotImplementedInS3("MfaDelete is not implemented.")
    if status not in (Versioning.ENABLED, Versioning.SUSPENDED):
        raise MalformedXml
    versioning = Versioning(status)
    await call.store.buckets.change(
        call.bucket, lambda old: dataclasses.replace(old, versioning=versioning)
    )
    return Response(200)


# Tags


async def get_bucket_tags(call: Call) -> Response:
    """GetBucketTagging."""
    tags = _settings(call, "GetBucketTagging").tags
    if not tags:
        raise NoSuchConfiguration(
            "NoSuchTagSet", "The TagSet does not exist", BucketName=call.bucket
        )
    return _tags_answer(tags)


async def put_bucket_tags(call: Call) -> Response:
    """PutBucketTagging."""
    _settings(call, "PutBucketTagging")
    tags = await _read_tags(call, _BUCKET_TAGS_MAX)
    await call.store.buckets.change(call.bucket, lambda old: dataclasses.replace(old, tags=tags))
    return Response(204)


async def delete_bucket_tags(call: Call) -> Response:
    """DeleteBucketTagging."""
    _settings(call, "DeleteBucketTagging")
    await call.store.buckets.change(call.bucket, lambda old: dataclasses.replace(old, tags={}))
    return Response(204)


async def get_object_tags(call: Call) -> Response:
    """GetObjectTagging."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "read")
    meta = call.store.head_nowait(call.bucket, call.key, call.version_id)
    answer = _tags_answer(dict(meta.facts.tags))
    answer.headers.extend(version_headers("" if meta.version_id == "null" else meta.version_id))
    return answer


async def put_object_tags(call: Call) -> Response:
    """PutObjectTagging."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    tags = await _read_tags(call, OBJECT_TAGS_MAX)
    return await _set_tags(call, tags, status=200)


async def delete_object_tags(call: Call) -> Response:
    """DeleteObjectTagging."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "write")
    return await _set_tags(call, {}, status=204)


async def _set_tags(call: Call, tags: dict[str, str], *, status: int) -> Response:
    meta = await call.store.set_tags(call.bucket, call.key, tags, call.version_id)
    return Response(status, version_headers("" if meta.version_id == "null" else meta.version_id))


async def _read_tags(call: Call, count_max: int) -> dict[str, str]:
    read = read_as("Tagging", await read_document(call, bytes_max=DOCUMENT_BYTES_MAX))
    if "TagSet" not in read:
        raise MalformedXml
    pairs = [(one.text("Key"), one.text("Value")) for one in structures(read, "TagSet")]
    return checked_tags(pairs, count_max=count_max)


def _tags_answer(tags: object) -> Response:
    assert isinstance(tags, dict)
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    return xml_answer(written_as("Tagging", "Tagging", {"TagSet": pairs}))


# CORS


async def get_cors(call: Call) -> Response:
    """GetBucketCors."""
    rules = _settings(call, "GetBucketCors").cors
    if not rules:
        raise NoSuchConfiguration(
            "NoSuchCORSConfiguration",
            "The CORS configuration does not exist",
            BucketName=call.bucket,
        )
    written = [
        {
            "ID": one.rule_id or None,
            "AllowedHeaders": one.allowed_headers,
            "AllowedMethods": one.allowed_methods,
            "AllowedOrigins": one.allowed_origins,
            "ExposeHeaders": one.expose_headers,
            "MaxAgeSeconds": one.max_age_s,
        }
        for one in rules
    ]
    value = {"CORSRules": written}
    return xml_answer(written_as("CORSConfiguration", "CORSConfiguration", value))


async def put_cors(call: Call) -> Response:
    """PutBucketCors."""
    _settings(call, "PutBucketCors")
    read = read_as("CORSConfiguration", await read_document(call, bytes_max=DOCUMENT_BYTES_MAX))
    rules = tuple(_cors_rule(one) for one in structures(read, "CORSRules"))
    if not 0 < len(rules) <= _CORS_RULES_MAX:
        raise MalformedXml
    await call.store.buckets.change(call.bucket, lambda old: dataclasses.replace(old, cors=rules))
    return Response(200)


async def delete_cors(call: Call) -> Response:
    """DeleteBucketCors."""
    _settings(call, "DeleteBucketCors")
    await call.store.buckets.change(call.bucket, lambda old: dataclasses.replace(old, cors=()))
    return Response(204)


def _cors_rule(one: Params) -> CorsRule:
    rule = CorsRule(
        allowed_origins=tuple(one.texts("AllowedOrigins")),
        allowed_methods=tuple(one.texts("AllowedMethods")),
        allowed_headers=tuple(one.texts("AllowedHeaders")),
        expose_headers=tuple(one.texts("ExposeHeaders")),
        max_age_s=one.number("MaxAgeSeconds", 0) if "MaxAgeSeconds" in one else None,
        rule_id=one.text("ID"),
    )
    if not rule.allowed_origins or not rule.allowed_methods:
        raise MalformedXml
    for method in rule.allowed_methods:
        if method not in METHODS:
            raise InvalidRequest(
                f"Found unsupported HTTP method in CORS config. Unsupported method is {method[:40]}"
            )
    for pattern in (*rule.allowed_origins, *rule.allowed_headers):
        if pattern.count("*") > 1:
            raise InvalidRequest(f'"{pattern[:100]}" can not have more than one wildcard.')
    return rule


# What a private bucket answers


async def get_bucket_acl(call: Call) -> Response:
    """GetBucketAcl."""
    _settings(call, "GetBucketAcl")
    return xml_answer(document("AccessControlPolicy", _ACL))


async def get_object_acl(call: Call) -> Response:
    """GetObjectAcl."""
    require_grant(call.principal, GrantKind.OBJECTS, call.target, "read")
    call.store.head_nowait(call.bucket, call.key, call.version_id)
    return xml_answer(document("AccessControlPolicy", _ACL))


async def put_acl(call: Call) -> Response:
    """PutBucketAcl and PutObjectAcl: to the owner alone, as it is."""
    _settings(call, "PutObjectAcl" if call.key else "PutBucketAcl")
    if call.key:
        call.store.head_nowait(call.bucket, call.key, call.version_id)
    for name, value in call.headers.items():
        require_honoured(name, value)
    body = await read_document(call, bytes_max=DOCUMENT_BYTES_MAX)
    if body:
        for grant in structures(read_as("AccessControlPolicy", body), "Grants"):
            if grant.structure("Grantee").text("ID") != ACCOUNT_ID:
                raise AccessControlListNotSupported
    return Response(200)


async def get_public_access(call: Call) -> Response:
    """GetPublicAccessBlock."""
    _settings(call, "GetPublicAccessBlock")
    shape = "PublicAccessBlockConfiguration"
    return xml_answer(written_as(shape, shape, dict.fromkeys(_BLOCKS, True)))


async def put_public_access(call: Call) -> Response:
    """PutPublicAccessBlock: everything is blocked, and stays so."""
    _settings(call, "PutPublicAccessBlock")
    body = await read_document(call, bytes_max=DOCUMENT_BYTES_MAX)
    read = read_as("PublicAccessBlockConfiguration", body)
    if not all(read.flag(one) for one in _BLOCKS):
        raise NotImplementedInS3("Mayfly's buckets are private: all public access stays blocked.")
    return Response(200)


async def get_ownership(call: Call) -> Response:
    """GetBucketOwnershipControls."""
    _settings(call, "GetBucketOwnershipControls")
    rule = element("ObjectOwnership", "BucketOwnerEnforced")
    return xml_answer(document("OwnershipControls", f"<Rule>{rule}</Rule>"))


async def put_ownership(call: Call) -> Response:
    """PutBucketOwnershipControls: the owner owns everything, and there are no lists."""
    _settings(call, "PutBucketOwnershipControls")
    read = read_as("OwnershipControls", await read_document(call, bytes_max=DOCUMENT_BYTES_MAX))
    rules = structures(read, "Rules")
    if not rules or any(one.text("ObjectOwnership") != "BucketOwnerEnforced" for one in rules):
        raise NotImplementedInS3("Mayfly's buckets have no access control lists.")
    return Response(200)


def answering(operation: str, root: str, content: str = "") -> Operation:
    """A setting that is the same for all buckets."""

    async def answer(call: Call) -> Response:
        _settings(call, operation)
        return xml_answer(document(root, content))

    return answer


def lacking(operation: str, code: str, message: str) -> Operation:
    """A setting that no bucket has."""

    async def answer(call: Call) -> Response:
        _settings(call, operation)
        raise NoSuchConfiguration(code, message, BucketName=call.bucket)

    return answer


def without_effect(operation: str) -> Operation:
    """The removal of a setting that no bucket has."""

    async def answer(call: Call) -> Response:
        _settings(call, operation)
        return Response(204)

    return answer
