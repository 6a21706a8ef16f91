"""The tables' rows in the one database, and the names of their I/O sites.

    table_definition  one row a table; `document` is the Definition as JSON
    table_number      the next number for tables, indexes and streams; none is used twice
    item              by (table_id, hash_key, range_key); `document` is the item as JSON on the wire
    index_entry       one row for each item in each index, in the index's order
    stream            one row a stream, ended ones too, until their records are gone
    stream_record     in order of commit; (stream_id, shard) gives each shard in that order
    write_token       ClientRequestTokens of transactions, for ten minutes
    doomed            tables and indexes that are gone, whose rows are still to be removed

An item is a row of an ordinary table with an index on its key, not of a WITHOUT ROWID one: rows are
large against a page, and the tree of such a one holds four of them a page at most (measured: a
get of 1 KB 7 us against 21, a put 26 us against 83).
"""

from __future__ import annotations

from enum import StrEnum

COMPONENT = "tables"


class TableSite(StrEnum):
    """Where the tables do I/O; a test can fail each by name."""

    LOAD = "TABLES:LOAD"
    DEFINE = "TABLES:DEFINE"
    COMMIT = "TABLES:COMMIT"
    KEEP = "TABLES:KEEP"


class Doomed(StrEnum):
    """Whose rows are to be removed."""

    TABLE = "table"
    INDEX = "index"


STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE table_definition (
            table_id   INTEGER PRIMARY KEY,
            name       TEXT NOT NULL UNIQUE,
            generation INTEGER NOT NULL,
            document   BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE table_number (
            next INTEGER NOT NULL
        ) STRICT""",
        "INSERT INTO table_number (next) VALUES (1)",
        """CREATE TABLE item (
            item_id   INTEGER PRIMARY KEY,
            table_id  INTEGER NOT NULL,
            hash_key  BLOB NOT NULL,
            range_key BLOB NOT NULL,
            size      INTEGER NOT NULL,
            document  BLOB NOT NULL,
            UNIQUE (table_id, hash_key, range_key)
        ) STRICT""",
        """CREATE TABLE index_entry (
            index_id   INTEGER NOT NULL,
            hash_key   BLOB NOT NULL,
            range_key  BLOB NOT NULL,
            item_hash  BLOB NOT NULL,
            item_range BLOB NOT NULL,
            item_id    INTEGER NOT NULL,
            PRIMARY KEY (index_id, hash_key, range_key, item_hash, item_range)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE stream (
            stream_id INTEGER PRIMARY KEY,
            arn       TEXT NOT NULL UNIQUE,
            document  BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE stream_record (
            sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
            stream_id  INTEGER NOT NULL,
            shard      INTEGER NOT NULL,
            created_ms INTEGER NOT NULL,
            document   BLOB NOT NULL
        ) STRICT""",
        # Ends with the rowid, here `sequence`.
        "CREATE INDEX stream_record_shard ON stream_record (stream_id, shard)",
        """CREATE TABLE write_token (
            token      TEXT PRIMARY KEY,
            digest     BLOB NOT NULL,
            created_ms INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX write_token_age ON write_token (created_ms)",
        """CREATE TABLE doomed (
            id   INTEGER PRIMARY KEY,
            kind TEXT NOT NULL
        ) STRICT""",
    ),
)
