"""The rows of queues, and the names of the I/O on them.

queue          one row each; `document` holds settings, tags and times as JSON
box            how many messages are in it: by triggers, so that no writer can forget
condemned      boxes of purged and deleted queues: emptied by and by
message        `visible_ms` is when it may be received; a body over 2 KiB is in `message_body`,
               because a receive writes the row again
message_group  a FIFO queue's groups that hold messages; `ready_ms`: nothing before that time
deduplication  what was sent to a FIFO queue in the last five minutes
attempt        receives that may be repeated by their ReceiveRequestAttemptId
move_task      moves from a dead-letter queue
"""

from __future__ import annotations

from enum import StrEnum

COMPONENT = "queues"
INLINE_BYTES_MAX = 2_048


class QueueSite(StrEnum):
    """Where queues do I/O; a test can fail each by name."""

    LOAD = "QUEUES:LOAD"
    MANAGE = "QUEUES:MANAGE"
    SEND = "QUEUES:SEND"
    RECEIVE = "QUEUES:RECEIVE"
    SETTLE = "QUEUES:SETTLE"
    SWEEP = "QUEUES:SWEEP"
    MOVE = "QUEUES:MOVE"


STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE queue (
            queue_id INTEGER PRIMARY KEY AUTOINCREMENT,
            name     TEXT NOT NULL UNIQUE,
            box_id   INTEGER NOT NULL,
            document BLOB NOT NULL
        ) STRICT""",
        """CREATE TABLE box (
            box_id INTEGER PRIMARY KEY AUTOINCREMENT,
            depth  INTEGER NOT NULL DEFAULT 0
        ) STRICT""",
        "CREATE TABLE condemned (box_id INTEGER PRIMARY KEY) STRICT",
        """CREATE TABLE message (
            seq               INTEGER PRIMARY KEY AUTOINCREMENT,
            box_id            INTEGER NOT NULL,
            visible_ms        INTEGER NOT NULL,
            receive_count     INTEGER NOT NULL DEFAULT 0,
            received_before   INTEGER NOT NULL DEFAULT 0,
            receipt           INTEGER NOT NULL DEFAULT 0,
            sent_ms           INTEGER NOT NULL,
            received_ms       INTEGER NOT NULL DEFAULT 0,
            first_received_ms INTEGER NOT NULL DEFAULT 0,
            group_key         INTEGER,
            message_id        TEXT NOT NULL,
            envelope          BLOB NOT NULL,
            body              TEXT
        ) STRICT""",
        # Ends with the rowid: what becomes visible at the same time comes in order of sending.
        "CREATE INDEX message_visible ON message (box_id, visible_ms, receive_count)",
        "CREATE INDEX message_sent ON message (box_id, sent_ms)",
        "CREATE INDEX message_grouped ON message (group_key) WHERE group_key IS NOT NULL",
        "CREATE TABLE message_body (seq INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT",
        """CREATE TRIGGER message_came AFTER INSERT ON message BEGIN
            UPDATE box SET depth = depth + 1 WHERE box_id = new.box_id;
        END""",
        """CREATE TRIGGER message_went AFTER DELETE ON message BEGIN
            UPDATE box SET depth = depth - 1 WHERE box_id = old.box_id;
        END""",
        """CREATE TRIGGER message_moved AFTER UPDATE OF box_id ON message BEGIN
            UPDATE box SET depth = depth - 1 WHERE box_id = old.box_id;
            UPDATE box SET depth = depth + 1 WHERE box_id = new.box_id;
        END""",
        """CREATE TABLE message_group (
            group_key INTEGER PRIMARY KEY AUTOINCREMENT,
            box_id    INTEGER NOT NULL,
            group_id  TEXT NOT NULL,
            ready_ms  INTEGER NOT NULL,
            UNIQUE (box_id, group_id)
        ) STRICT""",
        "CREATE INDEX message_group_ready ON message_group (box_id, ready_ms)",
        """CREATE TABLE deduplication (
            queue_id         INTEGER NOT NULL,
            scope            TEXT NOT NULL,
            deduplication_id TEXT NOT NULL,
            message_id       TEXT NOT NULL,
            seq              INTEGER NOT NULL,
            expires_ms       INTEGER NOT NULL,
            PRIMARY KEY (queue_id, scope, deduplication_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX deduplication_expires ON deduplication (expires_ms)",
        """CREATE TABLE attempt (
            queue_id   INTEGER NOT NULL,
            attempt_id TEXT NOT NULL,
            taken      BLOB NOT NULL,
            expires_ms INTEGER NOT NULL,
            PRIMARY KEY (queue_id, attempt_id)
        ) STRICT, WITHOUT ROWID""",
        "CREATE INDEX attempt_expires ON attempt (expires_ms)",
        """CREATE TABLE move_task (
            task_no     INTEGER PRIMARY KEY AUTOINCREMENT,
            task_id     TEXT NOT NULL UNIQUE,
            source      TEXT NOT NULL,
            destination TEXT NOT NULL,
            per_second  INTEGER NOT NULL,
            status      TEXT NOT NULL,
            moved       INTEGER NOT NULL DEFAULT 0,
            to_move     INTEGER NOT NULL,
            started_ms  INTEGER NOT NULL,
            last_seq    INTEGER NOT NULL,
            failure     TEXT NOT NULL DEFAULT ''
        ) STRICT""",
        "CREATE INDEX move_task_source ON move_task (source, task_no)",
    ),
)
