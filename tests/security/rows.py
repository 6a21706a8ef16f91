"""The escape list, row by row, and which tests try what one process alone cannot.

What a process can try by itself is data of `probes.py`. Here is the rest: a row, what is tried, how
it ends, the test that does it. `test_rows.py` sees that each row is tried, that each test is there,
and that what stands between backticks here stands in that test's file as well.
docs/reference/escapes.md is rendered from both.
"""

from __future__ import annotations

from dataclasses import dataclass

ROWS = {
    1: "mount",
    2: "unmount, remount",
    3: "new namespaces",
    4: "new namespaces by clone3",
    5: "joining a namespace",
    6: "another root",
    7: "tracing a process",
    8: "another process's memory and descriptors",
    9: "killing others; making siblings",
    10: "`/proc` of others, the kernel's memory",
    11: "programs and counters in the kernel",
    12: "page faults handled by the process",
    13: "calls that no filter sees",
    14: "keys of the kernel",
    15: "modules, kexec, reboot, swap, accounting, quotas",
    16: "clock and host name",
    17: "settings of the kernel",
    18: "cgroups",
    19: "devices",
    20: "another identity, setuid, capabilities",
    21: "a terminal's input",
    22: "other ways to call the kernel",
    23: "sockets of other families",
    24: "the host's loopback, metadata, other networks",
    25: "DNS",
    26: "sockets of the host and of siblings",
    27: "descriptors and folders that came along",
    28: "archives",
    29: "traversal in names",
    30: "fork and thread bombs",
    31: "memory of every kind",
    32: "a full disk",
    33: "descriptors, logs, replies",
    34: "outliving the deadline",
    35: "what an earlier call left",
    36: "the host's environment",
    37: "the same random numbers twice",
    38: "forged and second replies",
    39: "fork hooks",
    40: "threads and descriptors of the import",
    41: "running what was written, writing what is run",
    42: "a sibling's addresses",
    43: "an address space without randomness",
    44: "files by handle",
    45: "limits, priorities, scheduling",
    46: "what was not granted",
    47: "signatures",
    48: "a request within an event or a header",
}


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """One attempt that has a test of its own.

    Args:
        row: Of `ROWS`.
        tried: What.
        ends: How; words between backticks are in the test's file.
        test: Its file below tests/, "::", its name.
    """

    row: int
    tried: str
    ends: str
    test: str


# Two lines each: row, what is tried, how it ends; then where.
_TABLE = """
9 | kill(-1) and every pid, from an isolate | nobody is killed
security/test_siblings.py::test_siblings_are_invisible_and_cannot_be_killed
9 | every signal to the keeper, from the import | other functions go on, its own sandbox ends
security/test_hostile_snapshot.py::test_a_keeper_still_kills_whatever_its_snapshot_does
9 | naming another process as the isolate | the sandbox ends
security/test_hostile_snapshot.py::test_a_snapshot_that_names_somebody_else_as_its_isolate_ends
10 | files of the host and of another function by path | none can be read
security/test_siblings.py::test_no_path_of_the_host_can_be_read
3 | sharing a namespace with the node or another function | none is shared
security/test_siblings.py::test_a_sandbox_shares_no_namespace_with_the_node_or_another
20 | being root outside | a uid of its own, all four kinds
security/test_siblings.py::test_nobody_in_a_sandbox_is_root_outside
24 | a port beside a door | `EACCES` or `ECONNREFUSED`, the listener saw nobody
security/test_doors.py::test_a_granted_port_is_reached_and_its_neighbour_is_not
24 | the platform's own port, metadata, the internet beside a door | `EACCES` or `ENETUNREACH`
security/test_doors.py::test_beside_its_doors_a_function_reaches_nothing
24 | data in the first packet (TCP fast open) | the listener saw nobody
security/test_doors.py::test_a_fast_open_passes_no_other_door
25 | a granted name that turns to a private address | refused by the resolver outside
unit/drivers/egress/test_resolve.py::test_a_public_name_is_not_taken_to_a_private_place
26 | a datagram socket that a sibling could send to | `PermissionError`
security/test_siblings.py::test_a_datagram_socket_has_no_name_that_a_sibling_could_send_to
27 | descriptors that were open at the fork | 0, 1, 2 and the channel only
security/test_siblings.py::test_only_its_own_descriptors_are_open
27 | descriptors sent to the daemon (SCM_RIGHTS) | the call ends, the daemon holds none
security/test_hostile_frames.py::test_descriptors_sent_to_the_daemon_stay_outside
27 | an import that changed its folder | siblings share no file
security/test_siblings.py::test_siblings_share_no_file_wherever_the_import_went
28 | `../`, absolute paths, names of devices | refused, nothing written
unit/images/test_unpack.py::test_a_name_that_is_no_path_below_the_top_is_refused
28 | names that differ in case only, a file as a folder | refused
unit/images/test_unpack.py::test_members_that_are_in_each_others_way_are_refused
28 | symbolic links that leave | refused
unit/images/test_unpack.py::test_a_link_that_leaves_the_archive_is_refused
28 | links by way of links | refused
unit/images/test_unpack.py::test_a_link_that_leaves_by_way_of_another_link_is_refused
28 | devices, sockets, pipes | refused
unit/images/test_unpack.py::test_what_is_neither_file_nor_folder_nor_link_is_refused
28 | a zip bomb | refused by its ratio
unit/images/test_unpack.py::test_a_zip_bomb_is_refused_by_its_ratio
28 | an archive that declares less than comes out | refused while it is unpacked
unit/images/test_unpack.py::test_an_archive_that_declares_less_than_comes_out_is_refused
28 | any names and links (generated) | nothing outside the folder
unit/images/test_unpack.py::test_no_choice_of_names_and_links_gets_out
29 | names of functions that are paths | `ValidationException`
parity/test_bad_input.py::test_a_name_that_is_no_name_is_a_validation_error
29 | keys of objects that are paths (generated) | kept as they are, no file is named after them
unit/api/s3/test_address.py::test_any_key_survives
30 | a fork bomb | its own isolate is full, neighbours answer
unit/drivers/process/test_bounds.py::test_a_fork_bomb_takes_nothing_from_its_neighbours
30 | a thread bomb | fewer than 64
security/test_limits.py::test_threads_descriptors_and_files_are_bounded
31 | shared memory, socket buffers, `/tmp` | `Runtime.OutOfMemory`
security/test_limits.py::test_memory_of_every_kind_counts
31 | memory in pipes | bounded
security/test_limits.py::test_memory_in_pipes_is_bounded
31 | memory at import | `Runtime` error, the snapshot is not made
security/test_limits.py::test_an_import_holds_little_more_than_the_functions_memory
32 | `/tmp` full | no space left
unit/drivers/process/test_bounds.py::test_a_full_tmp_is_no_space_left
32 | inodes, a sparse file of a TiB, descriptors | ENOSPC, EFBIG, EMFILE
security/test_limits.py::test_threads_descriptors_and_files_are_bounded
33 | a log flood in a call | neighbours wait less than 0.2 s
security/test_limits.py::test_a_log_flood_costs_a_neighbour_little
33 | a log flood at import | less than 32 MiB a second are read
security/test_limits.py::test_an_import_that_floods_its_log_costs_a_neighbour_little
33 | a reply that never ends | `Sandbox.Timedout`
security/test_hostile_frames.py::test_a_frame_that_never_ends_ends_at_its_deadline
33 | 200,000 frames of garbage | memory stays bounded, the reader ends at the first
security/test_frame_fuzz.py::test_200_000_hostile_frames_take_no_more_than_was_said
34 | a daemon, a stopped child, all signals ignored, vfork | `Sandbox.Timedout`, no process is left
security/test_limits.py::test_nothing_outlives_its_deadline
34 | the same behind an answer | no process is left
security/test_limits.py::test_nothing_outlives_its_answer
35 | globals | a new isolate has none of them
contracts/test_driver.py::test_fresh_isolates_share_no_memory
35 | files in `/tmp` and `/dev/shm` | a sibling sees none
security/test_siblings.py::test_siblings_share_no_file_wherever_the_import_went
36 | environment of the platform, of the launcher, of the keeper | not there
security/test_siblings.py::test_the_hosts_environment_is_not_there
36 | a secret that was not granted | not there
security/test_function_secrets.py::test_a_granted_secret_is_there_at_import_and_no_other_is
37 | eight kinds of random numbers in 1,000 siblings | all differ
security/test_siblings.py::test_1_000_siblings_draw_1_000_numbers_of_each_kind
38 | frames that may not stand there | `Runtime.InvalidResponse`
security/test_hostile_frames.py::test_a_frame_that_may_not_stand_there_ends_the_isolate
38 | a second reply | never the next call's; the isolate is not used again
security/test_hostile_frames.py::test_a_second_answer_is_never_the_next_calls
38 | forged error documents | the caller's answer and no more
security/test_hostile_answers.py::test_a_forged_document_is_the_callers_answer_and_no_more
39 | a hook that runs in the isolate before it is furnished | nothing can be written
security/test_siblings.py::test_import_time_threads_and_fork_hooks_gain_nothing
40 | a thread of the import | not in the isolate
security/test_siblings.py::test_import_time_threads_and_fork_hooks_gain_nothing
46 | every operation of every service without a grant | refused; what exists does not show
security/test_permits.py::test_without_a_grant_nothing_is_done_and_what_exists_does_not_show
46 | with a grant | its own operations only
security/test_permits.py::test_each_verb_gives_its_own_operations
46 | a function without grants | has no key
security/test_function_keys.py::test_a_function_without_grants_has_no_key
46 | a key of a snapshot that is gone | refused
security/test_function_keys.py::test_a_key_dies_with_its_snapshot
46 | by way of another service, a URL, an archive | refused
security/test_key_detours.py::test_a_signature_for_another_service_invokes_nothing
47 | a wrong secret | `InvalidSignatureException`
parity/test_signatures.py::test_a_wrong_secret_is_refused
47 | none | refused
parity/test_signatures.py::test_a_request_without_a_signature_is_refused
47 | a stale one | expired
parity/test_signatures.py::test_an_old_signature_has_expired
47 | one of another operation, replayed | refused
parity/test_signatures.py::test_a_signature_for_another_operation_is_refused
47 | any `Authorization` header (generated) | refused, nothing breaks
unit/api/test_auth.py::test_no_authorization_header_whatever_gets_past_or_crashes
48 | an event that holds frames | is one event
security/test_hostile_frames.py::test_an_event_that_holds_frames_is_one_event
48 | an answer's headers and body (generated) | one reply of HTTP
unit/sources/test_http.py::test_no_answer_makes_a_reply_that_breaks_http
"""


def _elsewhere() -> list[Elsewhere]:
    lines = _TABLE.strip().split("\n")
    rows = [[cell.strip() for cell in line.split("|")] for line in lines[::2]]
    named = zip(rows, lines[1::2], strict=True)
    return [Elsewhere(int(row), tried, ends, test) for (row, tried, ends), test in named]


ELSEWHERE = sorted(_elsewhere(), key=lambda one: one.row)
# Whose tests run where an ordinary user has started the platform, as well as where root has.
AS_A_USER = frozenset(
    {
        "security/test_escapes.py",  # by test_escapes_as_a_user.py
        "security/test_doors.py",  # its platforms
        "contracts/test_driver.py",  # by test_driver_as_a_user.py
    }
)
# Whose tests need no sandbox: they read and parse.
ANYWHERE = ("unit/images/", "unit/api/", "unit/sources/", "unit/drivers/egress/")
