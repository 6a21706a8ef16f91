"""A recording counts what was used and refused; decoys tell ports, and are bounded."""

from __future__ import annotations

from mayfly.engine.learning.recording import ASKED_MAX, DECOY_PORTS, Recording
from mayfly.model.grant import Grant, GrantKind


def test_a_name_and_the_port_that_was_connected_to_are_a_missing_grant() -> None:
    recording = Recording()
    address = recording.decoy("api.example.com")
    recording.decoy("other.example.com")
    door = next(
        one for one in recording.decoy_doors(200) if (one.address, one.port) == (address, 443)
    )
    recording.decoy_reached(door)
    assert recording.missing == {Grant(GrantKind.NET, "api.example.com:443"): 1}
    assert recording.hosts_without_port == ("other.example.com",)
    assert recording.decoy("api.example.com") == address


def test_there_are_as_many_decoys_as_there_is_room_for() -> None:
    assert Recording().decoy_doors(len(DECOY_PORTS) * 2 + 1)[-1].address == "127.3.0.2"
    assert Recording().decoy_doors(3) == ()


def test_more_names_than_decoys_are_known_without_an_address() -> None:
    recording = Recording()
    found = [recording.decoy(f"h{number}.example.com") for number in range(9)]
    assert len({one for one in found if one}) == 7
    assert found[-2:] == [None, None]
    assert len(recording.hosts_without_port) == 9


def test_uses_are_counted_by_grant_and_what_is_too_much_is_only_counted() -> None:
    recording = Recording()
    bucket = Grant(GrantKind.OBJECTS, "photos", "read")
    for number in range(ASKED_MAX + 5):
        recording.tell_used(bucket, Grant(GrantKind.OBJECTS, f"photos/{number}", "read"))
    assert recording.used == {bucket: ASKED_MAX + 5}
    assert len(recording.asked) == ASKED_MAX
    assert recording.overflow == 5
