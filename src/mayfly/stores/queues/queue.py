"""The nouns of queues: what a queue is set to, what is sent to it and what is received from it.

    Draft --send--> (row) --receive--> Message, hidden until its visibility ends
                      ^                   |--delete--> gone
                      `--visibility ends--'--received too often--> the dead-letter queue

Values only; units are in the names. AWS's names for all this are the API's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from mayfly.model.errors import CallerError
from mayfly.model.function import ACCOUNT_ID, REGION

BODY_BYTES_MAX = 1024 * 1024
VISIBILITY_S_MAX = 43_200
IN_FLIGHT_MAX = 120_000
RECEIVE_COUNT_MAX = 10
DEDUPLICATION_MS = 300_000
FIFO_SUFFIX = ".fifo"
_ARN_PREFIX = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:"


def queue_arn(name: str) -> str:
    """The queue's ARN."""
    return _ARN_PREFIX + name


def queue_name(arn_or_name: str) -> str:
    """The name in an ARN of ours; a name as it is."""
    return arn_or_name.removeprefix(_ARN_PREFIX)


class NoSuchQueue(CallerError):
    """The queue does not exist."""

    code = "QueueDoesNotExist"

    def __init__(self) -> None:
        super().__init__("The specified queue does not exist.")


class QueueExists(CallerError):
    """A queue with this name is there."""

    code = "QueueNameExists"


class TooManyInFlight(CallerError):
    """As many messages are received and not yet deleted as a queue may have."""

    code = "OverLimit"
    status = 403

    def __init__(self) -> None:
        super().__init__(
            f"Too many messages in flight: {IN_FLIGHT_MAX} were received and not yet deleted"
        )


@dataclass(frozen=True, slots=True)
class Redrive:
    """Where a message goes that was received too often.

    Args:
        target: The dead-letter queue's name.
        receive_count_max: So many receives are allowed; the next one moves the message.
    """

    target: str
    receive_count_max: int


@dataclass(frozen=True, slots=True)
class RedriveAllow:
    """Which queues may name this one as their dead-letter queue.

    Args:
        permission: "allowAll", "denyAll" or "byQueue".
        sources: With "byQueue", the ARNs of those that may.
    """

    permission: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """All that a queue can be set to. The defaults are SQS's."""

    fifo: bool = False
    visibility_s: int = 30
    delay_s: int = 0
    wait_s: int = 0
    retention_s: int = 345_600
    message_bytes_max: int = BODY_BYTES_MAX
    content_deduplication: bool = False
    deduplication_per_group: bool = False
    throughput_per_group: bool = False
    redrive: Redrive | None = None
    redrive_allow: RedriveAllow | None = None
    policy: str = ""
    kms_key_id: str = ""
    kms_reuse_s: int = 300
    managed_encryption: bool = True


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue.

    Args:
        queue_id: Never used again for another one.
        box_id: What its messages belong to; purging gives the queue another, empty one.
    """

    queue_id: int
    box_id: int
    name: str
    settings: QueueSettings
    tags: Mapping[str, str]
    created_ms: int
    changed_ms: int

    @property
    def arn(self) -> str:
        """The queue's ARN."""
        return queue_arn(self.name)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A message attribute: text, or bytes where its type begins with "Binary"."""

    data_type: str
    text: str = ""
    binary: bytes | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """A message as it is sent.

    Args:
        message_id: A UUID, made by the sender's side before the transaction.
        delay_s: None: the queue's.
        group_id: A FIFO queue's message group; on another queue it is only kept.
        deduplication_id: A FIFO queue's; never "" there.
        sender: Who sent it, as the receiver may see it.
        trace_header: X-Ray's, or "".
    """

    message_id: str
    body: str
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    delay_s: int | None = None
    group_id: str = ""
    deduplication_id: str = ""
    sender: str = ""
    trace_header: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a draft.

    Args:
        message_id: Of an earlier message, where this one is its duplicate.
        sequence: Its place in the order of all messages.
    """

    message_id: str
    sequence: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is received.

    Args:
        receipt: Names this one receive; what deletes the message.
        receive_count: This receive included.
        dead_letter_source: The ARN of the queue that moved it here, or "".
    """

    message_id: str
    body: str
    receipt: str
    sequence: int
    sent_ms: int
    first_received_ms: int
    receive_count: int
    attributes: Mapping[str, Attribute]
    group_id: str = ""
    deduplication_id: str = ""
    sender: str = ""
    trace_header: str = ""
    dead_letter_source: str = ""


class Fate(Enum):
    """What became of one entry of a deletion or of a change of visibility."""

    DONE = auto()
    GONE = auto()
    """The message is not there any more: a deletion is content with that."""
    STALE = auto()
    """The message was received again, or a FIFO queue's visibility ended: nothing was done."""
    VISIBLE = auto()
    """The message is not in flight."""
    TOO_LONG = auto()
    """It would be hidden for more than 12 hours since its receive."""
    INVALID = auto()
    """No receipt of this queue."""


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages a queue has, exact at one moment."""

    visible: int
    in_flight: int
    delayed: int
