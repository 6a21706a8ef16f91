"""`mayfly plan` and `mayfly apply` on a real platform: there and back, and nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.platform import Platform, run_platform

WHOLE = """\
[system]
name = "shop"

[[bucket]]
name = "uploads"
versioning = true
cors = [{ origins = ["*"], methods = ["GET", "PUT"], max_age = "1h" }]

[[queue]]
name = "dead"

[[queue]]
name = "mail"
visibility = "1m"
dead_letter = "dead"
receives = 3

[[queue]]
name = "steps.fifo"
fifo = true
deduplicate = true

[[table]]
name = "orders"
hash = "customer"
range = "placed:N"
stream = "new"
ttl = "expires"
index = [
  { name = "by-state", hash = "state", show = ["total"] },
  { name = "by-total", hash = "customer", range = "total:N", show = "keys", local = true },
]

[[function]]
path = "worker"

[[schedule]]
name = "nightly"
cron = "0 2 * * ? *"
timezone = "Europe/Berlin"
function = "worker"
input = { a = 1 }
"""
MANIFEST = """\
[function]
name = "worker"
handler = "app.handler"
memory = {memory}
[grants]
objects = ["uploads:read"]
[[trigger]]
type = "object"
bucket = "uploads"
"""


@dataclass(frozen=True)
class Shop:
    """A system's folder, and the platform that it is for."""

    platform: Platform
    folder: Path

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mayfly.cli", *words, "--data", str(self.platform.data)],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def apply(self, *words: str) -> str:
        done = self.run("apply", *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def write(self, system: str, memory: int = 128) -> None:
        (self.folder / "system.toml").write_text(system)
        worker = self.folder / "worker"
        worker.mkdir(exist_ok=True)
        (worker / "app.py").write_text("def handler(event, context):\n    return event\n")
        (worker / "mayfly.toml").write_text(MANIFEST.format(memory=memory))


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with run_platform() as platform:
        made = Shop(platform, tmp_path)
        made.write(WHOLE)
        yield made


def changes(shop: Shop, *words: str) -> list[tuple[str, str, str]]:
    done = shop.run("plan", "--json", *words)
    assert done.returncode == 0, done.stderr
    listed = json.loads(done.stdout)["changes"]
    return [(one["action"], one["kind"], one["name"]) for one in listed]


def test_a_system_comes_about_and_the_second_time_there_is_nothing_to_do(shop: Shop) -> None:
    planned = shop.run("plan", "--detailed-exitcode")
    assert planned.returncode == 2
    assert "  + table     orders\n" in planned.stdout
    assert "7 to create, 0 to change, 0 to remove" in planned.stdout
    assert "all done" in shop.apply()
    assert shop.apply() == "nothing to do\n"
    assert shop.run("plan", "--detailed-exitcode").returncode == 0
    platform = shop.platform
    versioning = platform.client("s3").get_bucket_versioning(Bucket="uploads")
    assert versioning["Status"] == "Enabled"
    table = platform.client("dynamodb").describe_table(TableName="orders")["Table"]
    assert [one["IndexName"] for one in table["LocalSecondaryIndexes"]] == ["by-total"]
    rules = platform.client("s3").get_bucket_notification_configuration(Bucket="uploads")
    assert len(rules["LambdaFunctionConfigurations"]) == 1


def test_a_change_is_shown_old_and_new_and_made(shop: Shop) -> None:
    shop.apply()
    changed = (
        WHOLE.replace("versioning = true", "versioning = false")
        .replace("receives = 3", "receives = 4")
        .replace('stream = "new"', 'stream = "keys"')
        .replace('ttl = "expires"', 'ttl = "ends"')
        .replace('hash = "state", show = ["total"]', 'hash = "city"')
        .replace("input = { a = 1 }", "enabled = false")
        .replace(', max_age = "1h"', "")
    )
    shop.write(changed, memory=256)
    shown = shop.run("plan").stdout
    for line in (
        "versioning: true -> false",
        "receives: 3 -> 4",
        "stream: new -> keys",
        "ttl: expires -> ends",
        "memory: 128 -> 256",
        "enabled: true -> false",
        'input: {"a": 1} -> none',
    ):
        assert f"      {line}\n" in shown
    assert "0 to create, 5 to change, 0 to remove" in shown
    shop.apply()
    assert shop.apply() == "nothing to do\n"


def test_what_other_hands_changed_is_set_back(shop: Shop) -> None:
    shop.apply()
    shop.platform.client("lambda").update_function_configuration(
        FunctionName="worker", MemorySize=512
    )
    shop.platform.client("s3").put_bucket_versioning(
        Bucket="uploads", VersioningConfiguration={"Status": "Suspended"}
    )
    assert changes(shop) == [("change", "bucket", "uploads"), ("change", "function", "worker")]
    shop.apply()
    assert changes(shop) == []


def test_only_what_apply_made_goes_and_data_stays_until_it_is_asked_for(shop: Shop) -> None:
    shop.platform.client("s3").create_bucket(Bucket="theirs")
    shop.write(WHOLE + '\n[[bucket]]\nname = "theirs"\n')
    shop.apply()
    s3 = shop.platform.client("s3")
    s3.put_object(Bucket="uploads", Key="a & <b>", Body=b"x")
    s3.delete_object(Bucket="uploads", Key="a & <b>")
    item = {"customer": {"S": "c"}, "placed": {"N": "1"}}
    shop.platform.client("dynamodb").put_item(TableName="orders", Item=item)
    shop.write('[system]\nname = "shop"\n')
    assert changes(shop) == [
        ("remove", "schedule", "nightly"),
        ("remove", "function", "worker"),
        ("keep", "table", "orders"),
        *(("remove", "queue", name) for name in ("dead", "mail", "steps.fifo")),
        ("keep", "bucket", "uploads"),
    ]
    shop.apply()
    assert shop.apply().endswith("nothing to do\n")
    assert s3.list_object_versions(Bucket="uploads")["Versions"]
    shop.apply("--prune-data")
    assert [one["Name"] for one in s3.list_buckets()["Buckets"]] == ["theirs"]
    assert shop.platform.client("dynamodb").list_tables()["TableNames"] == []
    assert shop.apply() == "nothing to do\n"


def test_what_was_removed_by_other_hands_is_forgotten(shop: Shop) -> None:
    shop.apply()
    shop.platform.client("lambda").delete_function(FunctionName="worker")
    sqs = shop.platform.client("sqs")
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="mail")["QueueUrl"])
    assert changes(shop) == [("create", "queue", "mail"), ("create", "function", "worker")]
    kept = WHOLE[WHOLE.index("[[bucket]]") : WHOLE.index("[[queue]]")]
    shop.write('[system]\nname = "shop"\n' + kept)
    assert ("remove", "queue", "mail") not in changes(shop)
    shop.apply()
    assert shop.apply() == "nothing to do\n"


def test_a_run_that_fails_half_way_is_gone_on_with(shop: Shop) -> None:
    shop.write(WHOLE.replace("0 2 * * ? *", "0 2 * * ? 2001"))
    done = shop.run("apply")
    assert done.returncode == 1
    assert "It never comes true again" in done.stderr
    assert "  + table     orders, done\n" in done.stdout
    shop.write(WHOLE)
    assert changes(shop) == [("create", "schedule", "nightly")]
    shop.apply()
    shop.write('[system]\nname = "shop"\n')
    shop.apply()
    assert shop.platform.client("sqs").list_queues().get("QueueUrls", []) == []


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('hash = "customer"\nrange', 'hash = "buyer"\nrange', "with another hash, which cannot be"),
        ('name = "by-total"', 'name = "by-sum"', "the local indexes of the table"),
    ],
)
def test_what_cannot_be_changed_is_an_error(shop: Shop, before: str, after: str, why: str) -> None:
    shop.apply()
    shop.write(WHOLE.replace(before, after))
    done = shop.run("apply")
    assert done.returncode == 1
    assert why in done.stderr


def test_a_wrong_manifest_fails_the_plan_before_anything_is_made(shop: Shop) -> None:
    shop.write(WHOLE, memory=3)
    done = shop.run("apply")
    assert done.returncode == 1
    assert "mayfly.toml:4: memory must be" in done.stderr
    shop.write(WHOLE + '\n[[secret]]\nname = "hook-key"\n')
    done = shop.run("plan")
    assert done.returncode == 1
    assert "there is no secret hook-key" in done.stderr
    assert shop.platform.client("s3").list_buckets()["Buckets"] == []


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ('[[trigger]]\ntype = "queue"\nqueue = "male"\n', 'the queue "male", neither declared nor'),
        (
            '[[trigger]]\ntype = "table"\ntable = "orders"\non_failure = "bucket:lost"\n',
            'the bucket "lost", neither declared nor',
        ),
        (
            '[[trigger]]\ntype = "webhook"\nscheme = "github"\nsecret = "hok"\n',
            '"hok", there is no such secret: `mayfly secret set hok`',
        ),
        (
            '[grants]\nsecrets = ["kee"]\n',
            '"kee", there is no such secret: `mayfly secret set kee`',
        ),
    ],
)
def test_what_a_function_needs_is_missed_before_anything_is_made(
    shop: Shop, manifest: str, why: str
) -> None:
    shop.write(WHOLE)
    head = '[function]\nname = "worker"\nhandler = "app.handler"\n'
    (shop.folder / "worker" / "mayfly.toml").write_text(head + manifest)
    for verb in ("plan", "apply"):
        done = shop.run(verb)
        assert done.returncode == 1
        assert why in done.stderr
    assert shop.platform.client("s3").list_buckets()["Buckets"] == []
