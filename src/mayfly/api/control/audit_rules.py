"""What an audit can be failed on: rules for a pipeline, each with what it found.

A rule looks at a function's facts and names what breaks it; whether that matters is the owner's to
say, with `mayfly audit NAME --fail-on RULE`. Rules that compare two versions are the command
line's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mayfly.api.control.audit_facts import Facts
from mayfly.model import granting
from mayfly.model.function import Function, Reuse
from mayfly.model.grant import Grant, GrantKind, GrantOrigin

Look = Callable[[Function, Facts], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that a function should not have.

    Args:
        look: What breaks it; nothing where it holds.
    """

    name: str
    meaning: str
    look: Look


def findings(function: Function, facts: Facts) -> list[dict[str, object]]:
    """Each rule that is broken, with what breaks it."""
    found = [(rule, rule.look(function, facts)) for rule in RULES]
    return [
        {"rule": rule.name, "meaning": rule.meaning, "what": list(what)}
        for rule, what in found
        if what
    ]


def _granted(kind: GrantKind, *verbs: str) -> Look:
    def look(function: Function, _facts: Facts) -> Sequence[str]:
        return [
            granting.written(one)
            for one in function.settings.grants
            if one.kind is kind and (not verbs or one.verb in verbs)
        ]

    return look


def _wildcard(function: Function, _facts: Facts) -> Sequence[str]:
    return [granting.written(one) for one in _net(function) if "*" in one.target]


def _private(function: Function, _facts: Facts) -> Sequence[str]:
    return [granting.written(one) for one in _net(function) if _is_private(one)]


def _net(function: Function) -> Sequence[Grant]:
    return [one for one in function.settings.grants if one.kind is GrantKind.NET]


def _is_private(grant: Grant) -> bool:
    host = grant.target.rpartition(":")[0]
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        private = (".internal", ".local", ".lan", ".home.arpa")
        return "." not in host or host.endswith(private)


def _by_hand(function: Function, _facts: Facts) -> Sequence[str]:
    settings = function.settings
    return [
        f"{granting.written(one)} (by {granting.origin(settings, one)})"
        for one in settings.grants
        if granting.origin(settings, one) is not GrantOrigin.MANIFEST
    ]


def _warm(function: Function, _facts: Facts) -> Sequence[str]:
    return ['reuse = "warm"'] if function.settings.reuse is Reuse.WARM else []


def _url_open(_function: Function, facts: Facts) -> Sequence[str]:
    return ['[url] auth = "none"'] if facts["url_auth"] == "NONE" else []


def _webhook_open(_function: Function, facts: Facts) -> Sequence[str]:
    return [
        one
        for one in _texts(facts["triggers"])
        if one.startswith("webhook ") and "scheme=none" in one.split()
    ]


def _in_image(key: str) -> Look:
    def look(_function: Function, facts: Facts) -> Sequence[str]:
        image = facts["image"]
        assert isinstance(image, dict)
        return _texts(image[key])

    return look


def _soft_limits(_function: Function, facts: Facts) -> Sequence[str]:
    return ["limits are kept by rlimits"] if facts["limits_by"] == "rlimits" else []


def _no_landlock(_function: Function, facts: Facts) -> Sequence[str]:
    return [] if facts["landlock_abi"] else ["this kernel has no Landlock"]


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


RULES: tuple[Rule, ...] = (
    Rule("net", "it reaches a host", _granted(GrantKind.NET)),
    Rule("wildcard-net", "it reaches every host below a name", _wildcard),
    Rule("private-net", "it reaches a host that is not public", _private),
    Rule("objects-write", "it changes objects", _granted(GrantKind.OBJECTS, "write")),
    Rule("tables-write", "it changes tables", _granted(GrantKind.TABLES, "write")),
    Rule("queues", "it sends or receives messages", _granted(GrantKind.QUEUES)),
    Rule("invoke", "it calls other functions", _granted(GrantKind.INVOKE)),
    Rule("secrets", "it is given secrets", _granted(GrantKind.SECRETS)),
    Rule("hand-grants", "something was granted outside of its mayfly.toml", _by_hand),
    Rule("reuse-warm", "what one call leaves, the next one finds", _warm),
    Rule("url-open", "everybody can call it by its URL", _url_open),
    Rule("webhook-open", "everybody can call it by a webhook", _webhook_open),
    Rule("setuid", "its code has files that would run as somebody else", _in_image("setuid")),
    Rule("shells", "a shell lies in its image", _in_image("shells")),
    Rule("soft-limits", "no cgroup keeps its limits", _soft_limits),
    Rule("no-landlock", "one of two walls around its files is missing", _no_landlock),
)
