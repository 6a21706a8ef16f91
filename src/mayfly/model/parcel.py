"""A parcel: what must follow from a change, on its way to whoever it is for.

A change and its parcels are written in one transaction, so that neither is there without the
other: a notification of a bucket, the outcome of an asynchronous call for its destination, a
schedule's event. The outbox hands each to the carrier of its target's service.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Parcel:
    """One document for one target.

    Args:
        parcel_id: A UUID, made before the transaction (a write may run twice); it becomes the
            event's or message's id.
        target_arn: Whom it is for: a function (qualified or not), a queue, or a bucket.
        body: The document, as the target gets it.
        source: What caused it, for people: "s3:photos", "schedule:default/nightly", "invoke".
        attributes: For a queue: message attributes, all of type String.
        group_id: For a FIFO queue: the message group.
        name: For a bucket: the object's key.
        delay_s: Not to be delivered before so many seconds have passed.
    """

    parcel_id: str
    target_arn: str
    body: bytes
    source: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    group_id: str = ""
    name: str = ""
    delay_s: int = 0

    @property
    def service(self) -> str:
        """The target's service, as its ARN names it: "lambda", "sqs", "s3"."""
        parts = self.target_arn.split(":", 3)
        return parts[2] if len(parts) > 2 else ""
