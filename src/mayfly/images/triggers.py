"""The [[trigger]] tables of a mayfly.toml, each kind's keys by type and bound.

    type = "object"     bucket, events, prefix, suffix
    type = "table"      table, batch, window, starting, filter, retries, max_age, bisect, parallel,
                        partial, on_failure
    type = "queue"      queue, batch, window, filter, concurrency, partial
    type = "schedule"   one of rate, cron, at, expression; timezone, input
    type = "webhook"    scheme, secret, name

Only the words are judged here; whether the bucket is there is for the platform to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping

from mayfly.images.reading import Place, Reading, shown, suggested
from mayfly.model import limits
from mayfly.model.trigger import (
    ObjectEvent,
    ObjectTrigger,
    QueueTrigger,
    ScheduleTrigger,
    Starting,
    TableTrigger,
    Trigger,
    TriggerKind,
    WebhookTrigger,
)
from mayfly.model.webhook import Scheme

TRIGGERS_MAX = 50
_BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_TABLE = r"[A-Za-z0-9_.-]{3,255}"
_QUEUE = r"[A-Za-z0-9_-]{1,80}(\.fifo)?"
_ON_FAILURE = rf"queue:{_QUEUE}|bucket:{_BUCKET}"
_KEY_BYTES_MAX = 1_024
_BATCH_MAX, _BATCH_FIFO_MAX, _WINDOWLESS_BATCH_MAX = 10_000, 10, 10
_WINDOW_S_MAX = 300
_RETRIES_MAX = 10_000
_AGE_S = (60, 604_800)
_PARALLEL_MAX = 10
_CONCURRENCY = (2, 1_000)
_FILTERS_MAX, _FILTER_LENGTH_MAX = 5, 4_096
_INPUT_BYTES_MAX = 256 * limits.KIB
_EXPRESSIONS = ("rate", "cron", "at", "expression")


def read_triggers(reading: Reading, supported: Collection[TriggerKind]) -> tuple[Trigger, ...]:
    """Every [[trigger]]; what is wrong is noted in `reading`."""
    found = reading.value(("trigger",))
    if found is None:
        return ()
    if not isinstance(found, list):
        reading.problem(("trigger",), "trigger must be a list of tables: write [[trigger]]")
        return ()
    if len(found) > TRIGGERS_MAX:
        reading.problem(("trigger",), f"there are {len(found)} triggers, over {TRIGGERS_MAX}")
        return ()
    triggers: list[Trigger] = []
    for number in range(len(found)):
        trigger = _trigger(reading, ("trigger", number), supported)
        if trigger is not None:
            triggers.append(trigger)
            _check_apart(reading, ("trigger", number), triggers)
    return tuple(triggers)


def _trigger(reading: Reading, at: Place, supported: Collection[TriggerKind]) -> Trigger | None:
    table = reading.table(at)
    written = table.get("type")
    kinds = [kind.value for kind in TriggerKind]
    if not isinstance(written, str) or written not in kinds:
        said = "needs a type" if written is None else f"has the unknown type {shown(written)}"
        message = f"[[trigger]] {said}: {', '.join(kinds)}"
        reading.problem((*at, "type"), message + suggested(str(written), kinds))
        return None
    kind = TriggerKind(written)
    if kind not in supported:
        message = f'[[trigger]] of type "{kind}" is not built into this version of mayfly'
        reading.problem(at, message)
        return None
    return _READERS[kind](reading, at)


def _object(reading: Reading, at: Place) -> ObjectTrigger:
    reading.table(at, ("type", "bucket", "events", "prefix", "suffix"))
    events: list[ObjectEvent] = []
    for place, written in reading.texts((*at, "events")):
        if written not in list(ObjectEvent):
            message = f'events must hold "created" or "removed", not {shown(written)}'
            reading.problem(place, message + suggested(written, list(ObjectEvent)))
        elif ObjectEvent(written) not in events:
            events.append(ObjectEvent(written))
    if reading.value((*at, "events")) == []:
        reading.problem((*at, "events"), 'events is empty: write events = ["created"]')
    return ObjectTrigger(
        bucket=_required(reading, (*at, "bucket"), _BUCKET, "a bucket's name"),
        events=tuple(events) or (ObjectEvent.CREATED,),
        prefix=_key_part(reading, (*at, "prefix")),
        suffix=_key_part(reading, (*at, "suffix")),
    )


def _key_part(reading: Reading, place: Place) -> str:
    form = rf"(?s).{{0,{_KEY_BYTES_MAX}}}"
    return reading.text(place, form=form, must=f"a text of at most {_KEY_BYTES_MAX} characters")


def _table(reading: Reading, at: Place) -> TableTrigger:
    known = ("type", "table", "batch", "window", "starting", "filter", "retries", "max_age")
    reading.table(at, (*known, "bisect", "parallel", "partial", "on_failure"))
    batch = reading.whole((*at, "batch"), bounds=(1, _BATCH_MAX), unit="", default=100)
    return TableTrigger(
        table=_required(reading, (*at, "table"), _TABLE, "a table's name"),
        batch=batch,
        window_s=_window_s(reading, at),
        starting=reading.choice((*at, "starting"), Starting, Starting.LATEST),
        filters=_filters(reading, (*at, "filter")),
        retries=reading.whole((*at, "retries"), bounds=(-1, _RETRIES_MAX), unit="", default=-1),
        age_s_max=_age_s(reading, (*at, "max_age")),
        bisect=reading.truth((*at, "bisect")) or False,
        parallel=reading.whole((*at, "parallel"), bounds=(1, _PARALLEL_MAX), unit="", default=1),
        partial=reading.truth((*at, "partial")) is True,
        on_failure=reading.text(
            (*at, "on_failure"), form=_ON_FAILURE, must='"queue:NAME" or "bucket:NAME"'
        ),
    )


def _queue(reading: Reading, at: Place) -> QueueTrigger:
    known = ("type", "queue", "batch", "window", "filter", "concurrency", "partial")
    reading.table(at, known)
    queue = _required(reading, (*at, "queue"), _QUEUE, "a queue's name")
    fifo = queue.endswith(".fifo")
    most = _BATCH_FIFO_MAX if fifo else _BATCH_MAX
    batch = reading.whole((*at, "batch"), bounds=(1, most), unit="", default=10)
    window_s = _window_s(reading, at)
    if fifo and window_s:
        reading.problem((*at, "window"), "a FIFO queue has no window: its batches do not wait")
    elif batch > _WINDOWLESS_BATCH_MAX and not window_s:
        message = f"a batch over {_WINDOWLESS_BATCH_MAX} needs a window of 1 s or more to be filled"
        reading.problem((*at, "batch"), message)
    has_bound = reading.value((*at, "concurrency")) is not None
    return QueueTrigger(
        queue=queue,
        batch=batch,
        window_s=window_s,
        filters=_filters(reading, (*at, "filter")),
        concurrency=reading.whole((*at, "concurrency"), bounds=_CONCURRENCY, unit="", default=0)
        if has_bound
        else 0,
        partial=reading.truth((*at, "partial")) is True,
    )


def _schedule(reading: Reading, at: Place) -> ScheduleTrigger:
    table = reading.table(at, ("type", *_EXPRESSIONS, "timezone", "input"))
    given = [key for key in _EXPRESSIONS if key in table]
    if len(given) != 1:
        said = "has no time" if not given else f"has {' and '.join(given)}"
        message = f'a schedule {said}: write one of rate = "5 minutes", cron = "0 8 * * ? *", at'
        reading.problem(at, f'{message} = "2026-01-31T08:00:00" or expression = "rate(1 day)"')
        return ScheduleTrigger("")
    key = given[0]
    text = reading.text((*at, key), form=r"[^\n()]{1,200}|\w+\([^\n()]+\)", must="a text")
    expression = text if key == "expression" else f"{key}({text})"
    if key != "expression" and "(" in text:
        reading.problem((*at, key), f"write {key} = {shown(text.partition('(')[2].rstrip(')'))}")
    return ScheduleTrigger(
        expression=expression,
        timezone=reading.text(
            (*at, "timezone"),
            form=r"[A-Za-z0-9_+/-]{1,50}",
            must='a name such as "Europe/Berlin"',
            default="UTC",
        ),
        input=_input(reading, (*at, "input")),
    )


def _webhook(reading: Reading, at: Place) -> WebhookTrigger:
    reading.table(at, ("type", "scheme", "secret", "name"))
    schemes = [one.value for one in Scheme]
    if reading.value((*at, "scheme")) is None:
        reading.problem(at, f"a webhook needs a scheme: {', '.join(schemes)}")
    scheme = reading.choice((*at, "scheme"), Scheme, Scheme.NONE)
    secret = reading.text(
        (*at, "secret"), form=r"[A-Za-z0-9_-]{1,64}", must="the name of a secret, not its value"
    )
    if scheme is Scheme.NONE and secret:
        reading.problem((*at, "secret"), 'the scheme "none" takes no secret: everybody may post')
    elif scheme is not Scheme.NONE and not secret:
        message = f'the scheme "{scheme}" needs a secret: the name of one that `mayfly secret set`'
        reading.problem(at, f"{message} keeps")
    form = rf"[A-Za-z0-9_-]{{1,{limits.NAME_LENGTH_MAX}}}"
    name = reading.text((*at, "name"), form=form, must='letters, digits, "-" or "_"')
    return WebhookTrigger(scheme=scheme, secret=secret, name=name)


_READERS: Mapping[TriggerKind, Callable[[Reading, Place], Trigger]] = {
    TriggerKind.OBJECT: _object,
    TriggerKind.TABLE: _table,
    TriggerKind.QUEUE: _queue,
    TriggerKind.SCHEDULE: _schedule,
    TriggerKind.WEBHOOK: _webhook,
}


def _required(reading: Reading, place: Place, form: str, what: str) -> str:
    if reading.value(place) is None:
        key = place[-1]
        reading.problem(place, f'[[trigger]] needs a {key}: write {key} = "name"')
        return ""
    return reading.text(place, form=form, must=what)


def _window_s(reading: Reading, at: Place) -> int:
    return reading.seconds((*at, "window"), bounds=(0, _WINDOW_S_MAX), default=0)


def _age_s(reading: Reading, place: Place) -> int:
    """A duration that may be in hours or days as well; -1 is for ever."""
    found = reading.value(place)
    if found is None or found == -1:
        return -1
    per = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
    match = re.fullmatch(r"(\d{1,7})([smhd])", found) if isinstance(found, str) else None
    seconds = int(match[1]) * per[match[2]] if match else found
    if isinstance(seconds, int) and not isinstance(seconds, bool):
        low, high = _AGE_S
        if low <= seconds <= high:
            return seconds
    reading.problem(place, f'max_age must be "60s" to "7d", or -1 for ever, not {shown(found)}')
    return -1


def _filters(reading: Reading, place: Place) -> tuple[str, ...]:
    """One pattern or a list of them: a table, or JSON in a string. As JSON, keys in order."""
    found = reading.value(place)
    if found is None:
        return ()
    written = found if isinstance(found, list) else [found]
    if not 0 < len(written) <= _FILTERS_MAX:
        reading.problem(place, f"filter must hold 1 to {_FILTERS_MAX} patterns")
        return ()
    patterns: list[str] = []
    for one in written:
        try:
            pattern = json.loads(one) if isinstance(one, str) else one
            text = json.dumps(pattern, sort_keys=True, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError):
            pattern, text = None, ""
        if not isinstance(pattern, dict) or len(text) > _FILTER_LENGTH_MAX:
            message = 'filter must hold patterns, such as { body = { kind = ["order"] } }'
            reading.problem(place, message)
            return ()
        patterns.append(text)
    return tuple(patterns)


def _input(reading: Reading, place: Place) -> str | None:
    """Any value, as JSON; dates and times have none."""
    found = reading.value(place)
    if found is None:
        return None
    try:
        text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError):
        reading.problem(place, "input must be what JSON can hold: no dates, no times, no nan")
        return None
    if len(text.encode()) > _INPUT_BYTES_MAX:
        reading.problem(place, f"input is over {_INPUT_BYTES_MAX} bytes")
    return text


def _check_apart(reading: Reading, at: Place, triggers: list[Trigger]) -> None:
    """A queue, a table and a webhook's name have one trigger of a function each."""
    new = triggers[-1]
    if any(_place_of(one) == _place_of(new) != "" for one in triggers[:-1]):
        reading.problem(at, f"there is a trigger on {_place_of(new)} already; one is enough")


def _place_of(trigger: Trigger) -> str:
    match trigger:
        case TableTrigger():
            return f'the table "{trigger.table}"'
        case QueueTrigger():
            return f'the queue "{trigger.queue}"'
        case WebhookTrigger():
            return f'the webhook "{trigger.name}"'
        case ObjectTrigger() | ScheduleTrigger():
            return ""
