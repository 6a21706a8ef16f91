"""Two audits compared, and the rules that an audit can be failed on. Pure: documents in, lines out.

    + grants: queues=mail:send       more than before
    - syscalls: fork                 less
    ~ limits.timeout_s: 3 -> 10      another value

The rules of one audit are the platform's; those here need two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mayfly.cli import document

# What an earlier audit is needed for, and the facts that they look at.
COMPARED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "code-changed": ("its code is another one", ("code",)),
    "dependencies-changed": ("its requirements are others", ("dependencies",)),
    "grants-changed": ("it was granted something else", ("grants",)),
    "grown": (
        "it can touch more than before",
        (
            *("grants", "triggers", "syscalls", "syscalls_conditional", "capabilities", "devices"),
            *("environment", "credentials", "writable", "image.programs", "image.setuid"),
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `sign` is "+", "-" or "~"."""

    sign: str
    key: str
    what: str

    def __str__(self) -> str:
        return f"{self.sign} {self.key}: {self.what}"


def changes(before: document.Document, after: document.Document) -> Sequence[Change]:
    """How the facts of two audits differ, in the facts' order."""
    old, new = _flat(before), _flat(after)
    found: list[Change] = []
    for key in dict.fromkeys([*new, *old]):
        found += _changes(key, old.get(key), new.get(key))
    return found


def broken(found: Sequence[Change]) -> Mapping[str, Sequence[str]]:
    """The rules of `COMPARED` that these changes break, with what breaks them."""
    told: dict[str, list[str]] = {}
    for rule, (_meaning, keys) in COMPARED.items():
        signs = "+" if rule == "grown" else "+-~"
        what = [str(one) for one in found if one.key in keys and one.sign in signs]
        if what:
            told[rule] = what
    return told


def _flat(facts: document.Document, within: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in facts.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{within}{key}.")
        else:
            flat[f"{within}{key}"] = value
    return flat


def _changes(key: str, old: object, new: object) -> Sequence[Change]:
    if isinstance(old, list) or isinstance(new, list):
        was, now = _words(old), _words(new)
        gone = [Change("-", key, one) for one in was if one not in now]
        return [*gone, *(Change("+", key, one) for one in now if one not in was)]
    return [] if old == new else [Change("~", key, f"{_word(old)} -> {_word(new)}")]


def _words(value: object) -> Sequence[str]:
    return [_word(one) for one in value] if isinstance(value, list) else []


def _word(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key}={_word(one)}" for key, one in value.items())
    return "none" if value is None else str(value)
