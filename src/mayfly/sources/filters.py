"""Which records a function wants of a source: Lambda's event filtering, as EventBridge has it.

    {"body": {"status": ["open", {"prefix": "re"}], "total": [{"numeric": [">", 0, "<=", 5]}]}}

An object of a pattern must match wholly, a list by one of its conditions; a list in the record
matches by one of its elements. A pattern is compiled once into functions of a value. Pure.

Source: Lambda Developer Guide, "Control which events Lambda sends to your function"; EventBridge
User Guide, "Comparison operators".
"""

from __future__ import annotations

import ipaddress
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from math import isfinite

from mayfly.model.errors import InvalidParameter

PATTERN_LENGTH_MAX = 4_096
_DEPTH_MAX = 64
_MISSING = object()
_COMPARE: Mapping[str, Callable[[Decimal, Decimal], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Matches = Callable[[object], bool]


def compile_pattern(text: str) -> Matches:
    """A function that says whether a record matches the pattern.

    Raises:
        InvalidParameter: The pattern is none; the message says which part.
    """
    if len(text) > PATTERN_LENGTH_MAX:
        raise _invalid(f"it is longer than {PATTERN_LENGTH_MAX} characters")
    try:
        pattern = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError, InvalidOperation) as error:
        raise _invalid(f"it is no JSON: {error}") from error
    if not isinstance(pattern, dict):
        raise _invalid("it must be a JSON object")
    return _object(pattern, depth=0)


def compile_filters(patterns: Sequence[str]) -> Matches:
    """A record passes when one of the patterns matches it, or when there is none.

    Raises:
        InvalidParameter: One of them is no pattern.
    """
    compiled = [compile_pattern(one) for one in patterns]
    if not compiled:
        return lambda _record: True
    return lambda record: any(matches(record) for matches in compiled)


def compile_body_filters(patterns: Sequence[str]) -> Callable[[Mapping[str, object], str], bool]:
    """The same for messages, whose body may be JSON or any text.

    The body is matched as JSON where the pattern of it is an object, and as text where it is a
    list; a body of the other kind does not match.

    Returns:
        A function of the record without its body, and the body.
    """
    compiled = [(compile_pattern(one), _asks_for_json(one)) for one in patterns]

    def passes(record: Mapping[str, object], body: str) -> bool:
        if not compiled:
            return True
        parsed = _parsed(body)
        try:
            return any(_matches_body(one, record, body, parsed) for one in compiled)
        except RecursionError:
            # Nested deeper than any pattern reaches.
            return False

    return passes


def _matches_body(
    compiled: tuple[Matches, bool | None], record: Mapping[str, object], body: str, parsed: object
) -> bool:
    matches, wants_json = compiled
    is_json = isinstance(parsed, dict | list)
    if wants_json is not None and wants_json is not is_json:
        return False
    return matches({**record, "body": parsed if wants_json else body})


def _asks_for_json(pattern: str) -> bool | None:
    body = json.loads(pattern).get("body", _MISSING)
    return None if body is _MISSING else isinstance(body, dict)


def _parsed(body: str) -> object:
    try:
        return json.loads(body, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError, InvalidOperation):
        return None


def _object(pattern: Mapping[str, object], *, depth: int) -> Matches:
    if depth > _DEPTH_MAX:
        raise _invalid("it is nested too deeply")
    if not pattern:
        raise _invalid("an empty object matches nothing")
    parts = [
        (_any_of(value, depth=depth) if name == "$or" else _field(name, value, depth=depth))
        for name, value in pattern.items()
    ]

    def matches(value: object) -> bool:
        if isinstance(value, list):
            return any(matches(one) for one in value)
        return isinstance(value, dict) and all(part(value) for part in parts)

    return matches


def _any_of(alternatives: object, *, depth: int) -> Matches:
    if not isinstance(alternatives, list) or len(alternatives) < 2:
        raise _invalid('"$or" takes a list of two patterns or more')
    compiled = [
        _object(one, depth=depth + 1) if isinstance(one, dict) else _refuse('"$or" takes objects')
        for one in alternatives
    ]
    return lambda value: any(one(value) for one in compiled)


def _field(name: str, pattern: object, *, depth: int) -> Matches:
    if isinstance(pattern, dict):
        inside = _object(pattern, depth=depth + 1)
        # Also where the field is missing: something further in may have to be missing.
        return lambda value: inside(_get(value, name, {}))
    if not isinstance(pattern, list) or not pattern:
        raise _invalid(f'"{name}" must be an object or a list that is not empty')
    conditions = [_condition(name, one) for one in pattern]

    def matches(value: object) -> bool:
        found = _get(value, name, _MISSING)
        each = found if isinstance(found, list) and found else [found]
        return any(condition(one) for condition in conditions for one in each)

    return matches


def _get(value: object, name: str, default: object) -> object:
    return value.get(name, default) if isinstance(value, dict) else default


def _condition(name: str, wanted: object) -> Matches:
    if isinstance(wanted, dict):
        return _operator(name, wanted)
    if isinstance(wanted, list):
        raise _invalid(f'"{name}" holds a list in a list')
    return _equals(wanted)


def _equals(wanted: object) -> Matches:
    if wanted is None or isinstance(wanted, bool):
        return lambda value: value is wanted
    if isinstance(wanted, Decimal):
        return lambda value: _number(value) == wanted
    return lambda value: value == wanted


def _operator(name: str, wanted: Mapping[str, object]) -> Matches:
    if len(wanted) != 1:
        raise _invalid(f'a condition of "{name}" must have one operator, it has {len(wanted)}')
    word, operand = next(iter(wanted.items()))
    make = _OPERATORS.get(word)
    if make is None:
        raise _invalid(f'"{name}" has the unknown operator "{word[:40]}"; {_KNOWN}')
    return make(word, operand)


def _exists(word: str, operand: object) -> Matches:
    if not isinstance(operand, bool):
        raise _invalid(f'"{word}" takes true or false')
    # Of a leaf only: an object that is there is no value.
    return lambda value: (value is not _MISSING and not isinstance(value, dict)) is operand


def _starts(word: str, operand: object) -> Matches:
    text, fold = _foldable(word, operand)
    return lambda value: isinstance(value, str) and fold(value).startswith(text)


def _ends(word: str, operand: object) -> Matches:
    text, fold = _foldable(word, operand)
    return lambda value: isinstance(value, str) and fold(value).endswith(text)


def _equals_folded(word: str, operand: object) -> Matches:
    text = _text(word, operand).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == text


def _wildcard(word: str, operand: object) -> Matches:
    first, *others = _between_stars(word, _text(word, operand))
    if not others:
        return lambda value: value == first
    *middle, last = others

    def matches(value: object) -> bool:
        if not isinstance(value, str) or not value.startswith(first):
            return False
        # The earliest place of each part leaves most for the next: nothing is tried twice.
        at, end = len(first), len(value) - len(last)
        for part in middle:
            found = value.find(part, at, max(end, 0))
            if found < 0:
                return False
            at = found + len(part)
        return at <= end and value.endswith(last)

    return matches


def _between_stars(word: str, text: str) -> list[str]:
    """What stands between the wildcards; a backslash takes a star, or itself, by its letter."""
    parts, escaped, before = [""], False, ""
    for letter in text:
        if escaped:
            if letter not in "*\\":
                raise _invalid(f'"{word}" may have a backslash before a star or a backslash only')
            parts[-1] += letter
            escaped, before = False, ""
            continue
        if letter == "*" and before == "*":
            raise _invalid(f'"{word}" may not have two "*" beside one another')
        if letter == "*":
            parts.append("")
        elif letter != "\\":
            parts[-1] += letter
        escaped, before = letter == "\\", letter
    if escaped:
        raise _invalid(f'"{word}" ends in a backslash')
    return parts


def _anything_but(word: str, operand: object) -> Matches:
    if isinstance(operand, dict):
        inner, refused = next(iter(operand.items()), ("", None))
        if len(operand) != 1 or inner not in _NEGATABLE:
            raise _invalid(f'"{word}" takes one of {", ".join(_NEGATABLE)}')
        each = refused if isinstance(refused, list) else [refused]
        unwanted = [_NEGATABLE[inner](inner, one) for one in each]
    else:
        each = operand if isinstance(operand, list) else [operand]
        if not each or not all(isinstance(one, str | Decimal) for one in each):
            raise _invalid(f'"{word}" takes strings and numbers')
        unwanted = [_equals(one) for one in each]
    return lambda value: value is not _MISSING and not any(one(value) for one in unwanted)


def _numeric(word: str, operand: object) -> Matches:
    if not isinstance(operand, list) or len(operand) not in (2, 4):
        raise _invalid(f'"{word}" takes an operator and a number, once or twice')
    bounds = []
    for sign, bound in zip(operand[::2], operand[1::2], strict=True):
        if not isinstance(sign, str) or sign not in _COMPARE or not isinstance(bound, Decimal):
            raise _invalid(f'"{word}" takes {", ".join(_COMPARE)} and a number')
        bounds.append((_COMPARE[sign], bound))

    def matches(value: object) -> bool:
        number = _number(value)
        return number is not None and all(compare(number, bound) for compare, bound in bounds)

    return matches


def _cidr(word: str, operand: object) -> Matches:
    try:
        network = ipaddress.ip_network(_text(word, operand), strict=False)
    except ValueError as error:
        raise _invalid(f'"{word}" takes a block of addresses: {error}') from error

    def matches(value: object) -> bool:
        try:
            return isinstance(value, str) and ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return matches


def _foldable(word: str, operand: object) -> tuple[str, Callable[[str], str]]:
    """A text, or {"equals-ignore-case": text}, and how a value is read beside it."""
    if isinstance(operand, dict) and set(operand) == {"equals-ignore-case"}:
        return _text(word, operand["equals-ignore-case"]).casefold(), str.casefold
    return _text(word, operand), str


def _text(word: str, operand: object) -> str:
    if not isinstance(operand, str):
        raise _invalid(f'"{word}" takes a string')
    return operand


def _number(value: object) -> Decimal | None:
    """The number, None where it is none; what has no order (NaN) is none."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return Decimal(str(value))
    return None


def _refuse(why: str) -> Matches:
    raise _invalid(why)


def _invalid(why: str) -> InvalidParameter:
    return InvalidParameter(f"Invalid filter pattern definition: {why}.")


_NEGATABLE: Mapping[str, Callable[[str, object], Matches]] = {
    "prefix": _starts,
    "suffix": _ends,
    "equals-ignore-case": _equals_folded,
    "wildcard": _wildcard,
}
_OPERATORS: Mapping[str, Callable[[str, object], Matches]] = {
    **_NEGATABLE,
    "exists": _exists,
    "anything-but": _anything_but,
    "numeric": _numeric,
    "cidr": _cidr,
}
_KNOWN = f"known are {', '.join(sorted(_OPERATORS))}"
