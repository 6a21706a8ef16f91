"""The smallest grants of what was asked for: folders where keys vary, exact keys where not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mayfly.engine.learning.folding import covered, smallest
from mayfly.model.grant import Grant, GrantKind

NOTHING = "{}"


def read(target: str, verb: str = "read") -> Grant:
    return Grant(GrantKind.OBJECTS, target, verb)


def test_a_key_that_the_event_names_becomes_its_folder() -> None:
    assert smallest([read("photos/in/cat.jpg")], '{"key": "in/cat.jpg"}') == (read("photos/in/"),)


def test_a_key_that_is_made_from_the_events_becomes_its_folder() -> None:
    asked = [read("photos/out/cat.webp", "write")]
    assert smallest(asked, '{"key": "in/cat.jpg"}') == (read("photos/out/", "write"),)


def test_a_key_that_no_event_names_stays_itself() -> None:
    assert smallest([read("photos/settings.json")], NOTHING) == (read("photos/settings.json"),)


def test_several_keys_of_a_folder_become_the_folder_and_verbs_stay_apart() -> None:
    asked = [read("b/x/1"), read("b/x/2"), read("b/x/3", "write")]
    assert smallest(asked, NOTHING) == (read("b/x/"), read("b/x/3", "write"))


def test_a_varying_key_at_the_top_and_a_list_mean_the_bucket() -> None:
    assert smallest([read("photos/cat.jpg")], '"cat.jpg"') == (read("photos"),)
    assert smallest([read("photos"), read("photos/a/b")], NOTHING) == (read("photos"),)


def test_other_kinds_stay_as_they_were_asked_for_in_the_order_of_the_manifest() -> None:
    queue, host = Grant(GrantKind.QUEUES, "mail", "send"), Grant(GrantKind.NET, "a.example:443")
    assert smallest([queue, host, queue], NOTHING) == (host, queue)


KEYS = st.text("ab/.", min_size=1, max_size=8)
ASKED = st.lists(
    st.builds(
        lambda bucket, key, verb: read(f"{bucket}/{key}", verb),
        st.sampled_from(["one", "two"]),
        KEYS,
        st.sampled_from(["read", "write"]),
    ),
    max_size=12,
)


@given(ASKED, st.text("ab/.", max_size=20))
def test_all_that_was_asked_is_allowed_and_no_grant_lies_within_another(
    asked: list[Grant], events: str
) -> None:
    found = smallest(asked, events)
    assert all(covered(found, one) for one in asked)
    assert not any(covered([other], one) for one in found for other in found if one != other)
    # Nothing in a bucket, or for a verb, that was not asked for.
    places = {(one.target.partition("/")[0], one.verb) for one in asked}
    assert {(one.target.partition("/")[0], one.verb) for one in found} == places
