"""[[trigger]] in a mayfly.toml: each kind's keys, and what is refused with its line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mayfly.images.manifest import parse_manifest
from mayfly.model.errors import InvalidManifest
from mayfly.model.trigger import (
    ObjectEvent,
    ObjectTrigger,
    QueueTrigger,
    ScheduleTrigger,
    Starting,
    TableTrigger,
    Trigger,
    WebhookTrigger,
)
from mayfly.model.webhook import Scheme

FUNCTION = '[function]\nname = "f"\nhandler = "app.handler"\n'


def parsed(*triggers: str) -> tuple[Trigger, ...]:
    return parse_manifest(FUNCTION + "".join(f"[[trigger]]\n{one}\n" for one in triggers)).triggers


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('type = "object"\nbucket = "photos"', ObjectTrigger("photos")),
        (
            (
                'type = "object"\nbucket = "photos"\nevents = ["removed", "created", "removed"]\n'
                'prefix = "in/"\nsuffix = ".jpg"'
            ),
            ObjectTrigger("photos", (ObjectEvent.REMOVED, ObjectEvent.CREATED), "in/", ".jpg"),
        ),
        ('type = "table"\ntable = "orders"', TableTrigger("orders")),
        (
            (
                'type = "table"\ntable = "orders"\nbatch = 500\nwindow = "5s"\n'
                'starting = "oldest"\n'
                'filter = { eventName = ["INSERT"] }\nretries = 3\nmax_age = "2h"\nbisect = true\n'
                'parallel = 4\npartial = false\non_failure = "queue:dead"'
            ),
            TableTrigger(
                table="orders",
                batch=500,
                window_s=5,
                starting=Starting.OLDEST,
                filters=('{"eventName":["INSERT"]}',),
                retries=3,
                age_s_max=7_200,
                bisect=True,
                parallel=4,
                partial=False,
                on_failure="queue:dead",
            ),
        ),
        ('type = "queue"\nqueue = "mail"', QueueTrigger("mail")),
        ('type = "queue"\nqueue = "mail.fifo"\nbatch = 10', QueueTrigger("mail.fifo")),
        (
            (
                'type = "queue"\nqueue = "mail"\nbatch = 100\nwindow = 2\nconcurrency = 5\n'
                """filter = ['{"body": {"b": [1], "a": [2]}}']"""
            ),
            QueueTrigger("mail", 100, 2, ('{"body":{"a":[2],"b":[1]}}',), 5),
        ),
        ('type = "schedule"\nrate = "5 minutes"', ScheduleTrigger("rate(5 minutes)")),
        (
            (
                'type = "schedule"\ncron = "0 8 * * ? *"\ntimezone = "Europe/Berlin"\n'
                'input = { a = [1, "é"] }'
            ),
            ScheduleTrigger("cron(0 8 * * ? *)", "Europe/Berlin", '{"a": [1, "é"]}'),
        ),
        (
            'type = "schedule"\nat = "2030-01-31T08:00:00"',
            ScheduleTrigger("at(2030-01-31T08:00:00)"),
        ),
        ('type = "schedule"\nexpression = "rate(1 day)"', ScheduleTrigger("rate(1 day)")),
        (
            'type = "webhook"\nscheme = "github"\nsecret = "hook-key"\nname = "push"',
            WebhookTrigger(Scheme.GITHUB, "hook-key", "push"),
        ),
        ('type = "webhook"\nscheme = "none"', WebhookTrigger(Scheme.NONE)),
    ],
)
def test_each_kind_is_read(written: str, meant: Trigger) -> None:
    assert parsed(written) == (meant,)


@pytest.mark.parametrize(
    ("written", "line", "why"),
    [
        ('type = "object"', 4, 'needs a bucket: write bucket = "name"'),
        ('type = "object"\nbucket = "Photos"', 6, "bucket must be a bucket's name"),
        ('type = "object"\nbucket = "photos"\nevents = ["create"]', 7, 'did you mean "created"?'),
        ('type = "object"\nbucket = "photos"\nevents = []', 7, "events is empty"),
        ('type = "object"\nbucket = "photos"\nsufix = "x"', 7, 'did you mean "suffix"?'),
        ('type = "object"\nbucket = "photos"\nprefix = 3', 7, "prefix must be a text"),
        ('type = "table"\ntable = "orders"\nbatch = 0', 7, "from 1 to 10000"),
        ('type = "table"\ntable = "orders"\nstarting = "now"', 7, '"latest" or "oldest"'),
        ('type = "table"\ntable = "orders"\nmax_age = "5s"', 7, 'must be "60s" to "7d"'),
        ('type = "table"\ntable = "orders"\non_failure = "dead"', 7, '"queue:NAME" or'),
        ('type = "table"\ntable = "orders"\nfilter = "x"', 7, "filter must hold patterns"),
        ('type = "table"\ntable = "orders"\nfilter = []', 7, "1 to 5 patterns"),
        ('type = "queue"\nqueue = "a b"', 6, "queue must be a queue's name"),
        ('type = "queue"\nqueue = "mail"\nbatch = 11', 7, "needs a window of 1 s or more"),
        ('type = "queue"\nqueue = "m.fifo"\nbatch = 11', 7, "from 1 to 10"),
        ('type = "queue"\nqueue = "m.fifo"\nwindow = 1', 7, "a FIFO queue has no window"),
        ('type = "queue"\nqueue = "mail"\nconcurrency = 1', 7, "from 2 to 1000"),
        ('type = "schedule"', 4, "a schedule has no time: write one of"),
        ('type = "schedule"\nrate = "1 day"\ncron = "x"', 4, "a schedule has rate and cron"),
        ('type = "schedule"\nrate = "rate(1 day)"', 6, 'write rate = "1 day"'),
        ('type = "schedule"\nrate = "1 day"\ninput = 2030-01-01', 7, "what JSON can hold"),
        ('type = "webhook"', 4, "needs a scheme: github, stripe, hmac, none"),
        ('type = "webhook"\nscheme = "github"', 4, 'the scheme "github" needs a secret'),
        ('type = "webhook"\nscheme = "none"\nsecret = "x"', 7, "takes no secret"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(written: str, line: int, why: str) -> None:
    with pytest.raises(InvalidManifest) as caught:
        parsed(written)
    assert any(
        one.startswith(f"mayfly.toml:{line}: ") and why in one
        for one in str(caught.value).splitlines()
    ), str(caught.value)


def test_two_triggers_on_one_queue_are_one_too_many() -> None:
    with pytest.raises(InvalidManifest, match='a trigger on the queue "mail" already'):
        parsed('type = "queue"\nqueue = "mail"', 'type = "queue"\nqueue = "mail"\nbatch = 2')
    assert len(parsed('type = "object"\nbucket = "aaa"', 'type = "object"\nbucket = "aaa"')) == 2


def test_triggers_are_bounded() -> None:
    with pytest.raises(InvalidManifest, match="there are 51 triggers, over 50"):
        parsed(*(f'type = "queue"\nqueue = "q{number}"' for number in range(51)))


KEYS = st.sampled_from(["bucket", "events", "filter", "batch", "window", "rate", "input", "scheme"])
VALUES = st.sampled_from(["3", "-1", '"x"', "[]", '["created"]', "{ a = 1 }", "true", "1.5"])


@given(
    kind=st.sampled_from(["object", "table", "queue", "schedule", "webhook"]),
    options=st.dictionaries(KEYS, VALUES),
)
def test_whatever_is_written_is_read_or_refused(kind: str, options: dict[str, str]) -> None:
    lines = [f'type = "{kind}"', *(f"{key} = {value}" for key, value in options.items())]
    with contextlib.suppress(InvalidManifest):
        parsed("\n".join(lines))
