"""How a function's grants change without a deploy, and where each of them came from.

    manifest   a deploy: it says all that the function has, and what it does not say is gone
    hand       `mayfly grant`: until it is revoked, or the next deploy
    tag        the tag `mayfly:grants`: exactly what the tag says, for as long as it says so

Pure: settings in, settings out. What is granted twice came from where it came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mayfly.model import limits
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import Settings
from mayfly.model.grant import Grant, GrantKind, GrantOrigin, parse_grant

TAG = "mayfly:grants"
GRANTS_MAX = 256


def parse_grants(words: Iterable[str]) -> tuple[Grant, ...]:
    """Parse grants that are written as "net=api.example.com:443", each once, in their order.

    Raises:
        InvalidParameter: One is of no known kind or not of its kind's form; with the form.
    """
    return tuple(dict.fromkeys(_parse(word) for word in words))


def written(grant: Grant) -> str:
    """The grant in one word: "net=api.example.com:443"."""
    return f"{grant.kind}={grant.written}"


def origin(settings: Settings, grant: Grant) -> GrantOrigin:
    """Where the function has it from."""
    return settings.granted_by.get(str(grant), GrantOrigin.MANIFEST)


def with_grants(settings: Settings, grants: Sequence[Grant], by: GrantOrigin) -> Settings:
    """The settings with these grants as well; what is there already stays whose it is.

    Raises:
        InvalidParameter: They would be too many.
    """
    new = [one for one in grants if one not in settings.grants]
    together = (*settings.grants, *new)
    check_count(together)
    origins = {**settings.granted_by, **{str(one): by for one in new}}
    return replace(settings, grants=together, granted_by=origins)


def without_grants(settings: Settings, grants: Sequence[Grant]) -> Settings:
    """The settings without these grants; the tag no longer says those that it gave."""
    left = _kept(settings, [one for one in settings.grants if one not in grants])
    said = parse_grants(settings.tags.get(TAG, "").split())
    if not set(said) & set(grants):
        return left
    tags = {key: value for key, value in settings.tags.items() if key != TAG}
    still = " ".join(written(one) for one in said if one not in grants)
    return replace(left, tags={**tags, TAG: still} if still else tags)


def with_tags(settings: Settings, tags: Mapping[str, str]) -> Settings:
    """The settings with these tags in the place of theirs, and with the grants that they say.

    Raises:
        InvalidParameter: The value of `mayfly:grants` is not a list of grants.
    """
    try:
        said = parse_grants(tags.get(TAG, "").split())
        rest = [
            one
            for one in settings.grants
            if one in said or origin(settings, one) is not GrantOrigin.TAG
        ]
        return with_grants(replace(_kept(settings, rest), tags=tags), said, GrantOrigin.TAG)
    except InvalidParameter as error:
        raise InvalidParameter(
            f"the tag {TAG} must be grants with spaces between them, as in "
            f'"net=api.example.com:443 objects=photos:read": {error.message}'
        ) from error


def lost(before: Settings, after: Settings) -> tuple[Grant, ...]:
    """What was granted by hand or by a tag, and is not in `after`."""
    return tuple(
        one
        for one in before.grants
        if origin(before, one) is not GrantOrigin.MANIFEST and one not in after.grants
    )


def check_count(grants: Sequence[Grant]) -> None:
    """Refuse more grants than a function may have.

    Raises:
        InvalidParameter: With the bound.
    """
    # One door is the platform's own.
    doors = len({one for one in grants if one.kind is GrantKind.NET})
    if doors >= limits.DOORS_MAX:
        raise InvalidParameter(
            f"{doors} grants of net are more than {limits.DOORS_MAX - 1}, which is what one "
            "function may have"
        )
    if len(grants) > GRANTS_MAX:
        raise InvalidParameter(
            f"{len(grants)} grants are more than {GRANTS_MAX}, which is what one function may have"
        )


def _kept(settings: Settings, grants: Sequence[Grant]) -> Settings:
    names = {str(one) for one in grants}
    origins = {name: by for name, by in settings.granted_by.items() if name in names}
    return replace(settings, grants=tuple(grants), granted_by=origins)


def _parse(word: str) -> Grant:
    kind, _, entry = word.partition("=")
    if kind not in {one.value for one in GrantKind} or not entry:
        kinds = ", ".join(GrantKind)
        raise InvalidParameter(
            f'"{word[:200]}" is no grant: write KIND=WHAT, for example '
            f'"net=api.example.com:443"; kinds are {kinds}'
        )
    return parse_grant(GrantKind(kind), entry)
