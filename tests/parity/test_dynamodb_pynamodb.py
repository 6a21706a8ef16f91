"""pynamodb, unmodified: models, conditions, indexes, batches and transactions."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pynamodb.attributes import (
    JSONAttribute,
    ListAttribute,
    MapAttribute,
    NumberAttribute,
    TTLAttribute,
    UnicodeAttribute,
    UnicodeSetAttribute,
    VersionAttribute,
)
from pynamodb.connection import Connection
from pynamodb.exceptions import DoesNotExist, PutError, TransactWriteError, UpdateError
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex
from pynamodb.models import Model
from pynamodb.transactions import TransactGet, TransactWrite

from tests.support.platform import REGION, Platform


class Author(MapAttribute[str, object]):
    name = UnicodeAttribute()


class ByForum(GlobalSecondaryIndex["Thread"]):  # type: ignore[no-untyped-call]
    class Meta:
        index_name = "by-forum"
        projection = AllProjection()
        read_capacity_units = 1
        write_capacity_units = 1

    forum = UnicodeAttribute(hash_key=True)
    views = NumberAttribute(range_key=True)


class Thread(Model):
    class Meta:
        table_name = "set-by-the-fixture"
        host: str
        region = REGION
        aws_access_key_id: str
        aws_secret_access_key: str
        billing_mode = "PAY_PER_REQUEST"
        max_retry_attempts = 0

    forum = UnicodeAttribute(hash_key=True)
    subject = UnicodeAttribute(range_key=True)
    views = NumberAttribute(default=0)
    tags = UnicodeSetAttribute(null=True)
    notes = ListAttribute[str](null=True)
    author = Author(null=True)  # type: ignore[no-untyped-call]
    extra = JSONAttribute(null=True)
    ends = TTLAttribute(null=True)
    version = VersionAttribute()
    by_forum = ByForum()


@pytest.fixture
def threads(platform: Platform) -> Iterator[type[Thread]]:
    Thread.Meta.table_name = platform.new_name("threads")
    Thread.Meta.host = platform.endpoint
    Thread.Meta.aws_access_key_id = platform.access_key_id
    Thread.Meta.aws_secret_access_key = platform.secret_access_key
    Thread._connection = None
    Thread.create_table(wait=True)
    yield Thread
    Thread.delete_table()


def test_a_model_is_saved_and_read_and_changed(threads: type[Thread]) -> None:
    assert threads.exists()
    one = threads(
        "python",
        "types",
        tags={"a", "b"},
        notes=["x"],
        author=Author(name="Ada"),  # type: ignore[no-untyped-call]
        extra={"deep": [1]},
    )
    one.save()
    read = threads.get("python", "types", consistent_read=True)
    assert (read.tags, list(read.notes), read.author.name) == ({"a", "b"}, ["x"], "Ada")
    assert read.extra == {"deep": [1]}
    read.update(actions=[Thread.views.add(5), Thread.notes.set(Thread.notes.append(["y"]))])
    assert read.views == 5
    assert list(read.notes) == ["x", "y"]
    with pytest.raises(UpdateError) as refused:
        one.update(actions=[Thread.views.set(1)])
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    read.delete()
    with pytest.raises(DoesNotExist):
        threads.get("python", "types")


def test_queries_pages_and_indexes(threads: type[Thread]) -> None:
    with threads.batch_write() as batch:
        for number in range(60):
            batch.save(threads("forum", f"s{number:03d}", views=100 - number))
    found = list(threads.query("forum", Thread.subject.startswith("s00"), page_size=3))
    assert [one.subject for one in found] == [f"s{number:03d}" for number in range(10)]
    ordered = list(threads.by_forum.query("forum", ByForum.views < 50, scan_index_forward=False))
    assert [int(one.views) for one in ordered] == list(range(49, 40, -1))
    assert threads.count("forum", filter_condition=Thread.views > 90) == 10
    assert len(list(threads.scan(page_size=7))) == 60
    keys = [("forum", f"s{number:03d}") for number in range(60)]
    assert len(list(threads.batch_get(keys))) == 60


def test_conditions_and_transactions(threads: type[Thread], platform: Platform) -> None:
    one = threads("f", "s")
    one.save(Thread.subject.does_not_exist())
    with pytest.raises(PutError) as refused:
        threads("f", "s").save(Thread.subject.does_not_exist())
    assert refused.value.cause_response_code == "ConditionalCheckFailedException"
    connection = Connection(region=REGION, host=platform.endpoint)
    connection.session.set_credentials(platform.access_key_id, platform.secret_access_key)
    with TransactWrite(connection=connection, client_request_token="once") as write:
        write.save(threads("f", "t"))
        write.update(one, actions=[Thread.views.set(7)])
    failing = TransactWrite(connection=connection)
    failing.save(threads("f", "u"))
    failing.condition_check(threads, "f", "s", condition=Thread.views > 10)
    with pytest.raises(TransactWriteError) as cancelled:
        failing._commit()
    reasons = [one for one in cancelled.value.cancellation_reasons if one is not None]
    assert [one.code for one in reasons] == ["ConditionalCheckFailed"]
    with TransactGet(connection=connection) as read:
        present, second = read.get(threads, "f", "s"), read.get(threads, "f", "t")
    assert int(present.get().views) == 7
    assert second.get().subject == "t"
    with pytest.raises(DoesNotExist):
        threads.get("f", "u")
