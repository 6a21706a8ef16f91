"""The object store's tables, and what is written into their documents.

bucket            one row per bucket; `document` is its settings as JSON
object_version    every version and marker; `body` of a small object, last, so that a walk over
                  rows never reads it; `file_id` of a large one; `parts_owner` of a multipart one
  object_latest     one entry per key: get and listing; `is_marker` first, so that a listing
                    does not walk over markers
  object_older      the versions under the latest, newest first
  object_null       the version without an id under the latest, at most one per key
object_upload     multipart uploads under way; `owner` is their number
object_part       parts, of an upload under way or of the object that it became
object_garbage    files that no row needs: deleted when no reader has them
object_sequence   the one counter: versions, uploads and sequencers take their numbers here
"""

from __future__ import annotations

import msgspec

from mayfly.stores.objects.bucket import BucketSettings
from mayfly.stores.objects.record import STANDARD, Checksum, Facts, MultipartUpload

COMPONENT = "objects"

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE bucket (
            bucket_id  INTEGER PRIMARY KEY AUTOINCREMENT,
            name       TEXT NOT NULL UNIQUE,
            created_ms INTEGER NOT NULL,
            document   BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE object_version (
            seq         INTEGER PRIMARY KEY,
            bucket_id   INTEGER NOT NULL,
            is_latest   INTEGER NOT NULL,
            is_marker   INTEGER NOT NULL,
            key         BLOB NOT NULL,
            version_id  TEXT NOT NULL,
            size        INTEGER NOT NULL,
            etag        TEXT NOT NULL,
            modified_ms INTEGER NOT NULL,
            parts_owner INTEGER NOT NULL,
            parts_count INTEGER NOT NULL,
            file_id     TEXT NOT NULL,
            facts       BLOB NOT NULL,
            body        BLOB
        ) STRICT""",
        """CREATE UNIQUE INDEX object_latest ON object_version (bucket_id, is_marker, key)
            WHERE is_latest = 1""",
        """CREATE INDEX object_older ON object_version (bucket_id, key, seq DESC)
            WHERE is_latest = 0""",
        """CREATE INDEX object_null ON object_version (bucket_id, key)
            WHERE is_latest = 0 AND version_id = 'null'""",
        "CREATE INDEX object_file ON object_version (file_id) WHERE file_id != ''",
        """CREATE TABLE object_upload (
            owner     INTEGER PRIMARY KEY,
            bucket_id INTEGER NOT NULL,
            key       BLOB NOT NULL,
            document  BLOB NOT NULL
        ) STRICT""",
        "CREATE INDEX object_upload_key ON object_upload (bucket_id, key, owner)",
        """CREATE TABLE object_part (
            owner       INTEGER NOT NULL,
            number      INTEGER NOT NULL,
            size        INTEGER NOT NULL,
            etag        TEXT NOT NULL,
            modified_ms INTEGER NOT NULL,
            file_id     TEXT NOT NULL,
            checksums   BLOB NOT NULL,
            body        BLOB,
            PRIMARY KEY (owner, number)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX object_part_file ON object_part (file_id) WHERE file_id != ''",
        """CREATE TABLE object_garbage (
            file_id TEXT PRIMARY KEY,
            owner   INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE object_sequence (
            one   INTEGER PRIMARY KEY CHECK (one = 1),
            value INTEGER NOT NULL
        ) STRICT""",
        "INSERT INTO object_sequence (one, value) VALUES (1, 0)",
    ),
)

_encode = msgspec.json.Encoder().encode
_facts = msgspec.json.Decoder(Facts)
_checksums = msgspec.json.Decoder(tuple[Checksum, ...])
_settings = msgspec.json.Decoder(BucketSettings)
_upload = msgspec.json.Decoder(MultipartUpload)
_PLAIN = Facts()


def write_facts(facts: Facts) -> bytes:
    """Facts as a row has them: only what is not the default."""
    found: dict[str, object] = {}
    if facts.headers:
        found["headers"] = facts.headers
    if facts.metadata:
        found["metadata"] = facts.metadata
    if facts.tags:
        found["tags"] = facts.tags
    if facts.checksums:
        found["checksums"] = facts.checksums
    if facts.storage_class != STANDARD:
        found["storage_class"] = facts.storage_class
    return _encode(found) if found else b""


def read_facts(document: bytes) -> Facts:
    """The opposite of `write_facts`."""
    return _facts.decode(document) if document else _PLAIN


def write_checksums(checksums: tuple[Checksum, ...]) -> bytes:
    """A part's checksums as a row has them."""
    return _encode(checksums) if checksums else b""


def read_checksums(document: bytes) -> tuple[Checksum, ...]:
    """The opposite of `write_checksums`."""
    return _checksums.decode(document) if document else ()


def write_settings(settings: BucketSettings) -> bytes:
    """A bucket's settings as a row has them."""
    return _encode(settings)


def read_settings(document: bytes) -> BucketSettings:
    """The opposite of `write_settings`."""
    return _settings.decode(document)


def write_upload(upload: MultipartUpload) -> bytes:
    """An upload as a row has it."""
    return _encode(upload)


def read_upload(document: bytes) -> MultipartUpload:
    """The opposite of `write_upload`."""
    return _upload.decode(document)
