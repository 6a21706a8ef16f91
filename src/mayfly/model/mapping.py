"""A mapping: which source feeds which function, and how its records are gathered and retried.

The fields and their defaults are those of Lambda's event source mappings (API Reference,
"EventSourceMappingConfiguration").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from mayfly.model.function import ACCOUNT_ID, LATEST, REGION


class SourceKind(StrEnum):
    """What a mapping reads."""

    QUEUE = "queue"
    STREAM = "stream"


class StartingPosition(StrEnum):
    """Where the reading of a stream begins."""

    TRIM_HORIZON = "TRIM_HORIZON"
    LATEST = "LATEST"


@dataclass(frozen=True, slots=True)
class SourceMapping:
    """One mapping as it stands now.

    Args:
        mapping_id: A UUID.
        function_name: Whom it feeds.
        qualifier: Of the function; "$LATEST" where none was given.
        source_arn: A queue, or a table's stream.
        enabled: Whether it reads.
        batch_size: At most so many records in one event.
        window_s: How long to gather before a batch that is not full is delivered.
        filters: Patterns, one of which a record must match; none is all records.
        partial_failures: The function answers which records of a batch failed.
        bisect: A failed batch of a stream is halved.
        retries_max: Of a stream's batch; -1 is until the records expire.
        age_s_max: Records of a stream that are older are given up; -1 is never.
        parallel: Batches of one shard at once; the order of each item is kept.
        concurrency_max: Batches of a queue at once, or None: the platform's bound.
        starting: Where the reading of a stream begins.
        on_failure_arn: Where what was given up is told, or "".
        modified_ms: Of the last change, Unix milliseconds.
        revision: Counts its changes, from 1.
        start_sequence: Of a stream: records above it are read.
        tags: The owner's.
    """

    mapping_id: str
    function_name: str
    source_arn: str
    batch_size: int
    modified_ms: int
    qualifier: str = LATEST
    enabled: bool = True
    window_s: int = 0
    filters: tuple[str, ...] = ()
    partial_failures: bool = False
    bisect: bool = False
    retries_max: int = -1
    age_s_max: int = -1
    parallel: int = 1
    concurrency_max: int | None = None
    starting: StartingPosition = StartingPosition.TRIM_HORIZON
    on_failure_arn: str = ""
    revision: int = 1
    start_sequence: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The mapping's own ARN."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:event-source-mapping:{self.mapping_id}"

    @property
    def kind(self) -> SourceKind:
        """By the source's ARN."""
        return SourceKind.QUEUE if ":sqs:" in self.source_arn else SourceKind.STREAM

    @property
    def source_name(self) -> str:
        """The queue's or the table's name."""
        if self.kind is SourceKind.QUEUE:
            return self.source_arn.rpartition(":")[2]
        return self.source_arn.partition(":table/")[2].partition("/")[0]

    @property
    def function_arn(self) -> str:
        """Qualified where a qualifier was given."""
        arn = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.function_name}"
        return arn if self.qualifier == LATEST else f"{arn}:{self.qualifier}"


@dataclass(frozen=True, slots=True)
class Lane:
    """A part of a stream that is read in order, with a checkpoint of its own.

    Args:
        shard_id: Of the stream.
        number: 0 to `count` - 1: an item's records are all in one lane.
        count: Lanes of a shard: the mapping's `parallel`.
    """

    shard_id: str
    number: int = 0
    count: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """What the running source says of a mapping; not kept on disk.

    Args:
        revision: Of the mapping that is being read for, 0 while nothing runs.
        result: What came of the last batch, or what keeps the source from reading.
    """

    revision: int = 0
    result: str = "No records processed"
