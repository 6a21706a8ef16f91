"""notify: tells people and programs of events, by webhook, in Slack, by e-mail.

    bucket, table's stream, queue, schedule, or an event of one's own
        -> one message for each change (messages.py), written by templates (templates.py)
        -> to every channel that [function.env] sets up (channels.py)

Of a queue or a stream only what failed comes again; any other event fails as a whole.
"""

from __future__ import annotations

from typing import Any

from channels import channels
from messages import Message, messages_of
from templates import Templates

# Read once: they are in the snapshot, and a wrong setting fails the deploy and no event.
_TEMPLATES = Templates.configured()
_CHANNELS = channels()


def handler(event: Any, context: object) -> dict[str, Any]:
    """Send each message that the event holds."""
    del context
    found = messages_of(event)
    if found and found[0].source == "queue":
        failed = [one.item_id for one in found if not _try(one)]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}
    if found and found[0].source == "table":
        return {"batchItemFailures": _in_order(found)}
    for message in found:
        _send(message)
    return {"sent": len(found), "channels": [one.name for one in _CHANNELS]}


def _in_order(messages: list[Message]) -> list[dict[str, str]]:
    """A stream goes on from the first that failed, so none after it may be sent before."""
    for message in messages:
        if not _try(message):
            return [{"itemIdentifier": message.item_id}]
    return []


def _try(message: Message) -> bool:
    try:
        _send(message)
    except Exception as error:  # noqa: BLE001  told by name, so that the others are not sent again
        print(f"{message.source} {message.item_id} was not sent: {type(error).__name__}: {error}")
        return False
    return True


def _send(message: Message) -> None:
    """To every channel, also when one fails; then the first failure is raised."""
    failures: list[Exception] = []
    for channel in _CHANNELS:
        try:
            channel.send(message, _TEMPLATES)
            print(f"{message.summary} -> {channel.name}")
        except Exception as error:  # noqa: BLE001  the other channels come first
            print(f"{message.summary} -> {channel.name} failed: {type(error).__name__}: {error}")
            failures.append(error)
    if failures:
        raise failures[0]
