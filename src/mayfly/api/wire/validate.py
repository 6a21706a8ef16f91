"""The model's constraints, checked, and what breaks them said in AWS's words.

    2 validation errors detected: Value '..' at 'functionName' failed to satisfy constraint:
    Member must satisfy regular expression pattern: [a-z]+; Value null at 'role' failed to
    satisfy constraint: Member must not be null

A place is written as AWS's services do: lower camel case, list elements as `tags.1.member`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from mayfly.api.refusals import ValidationFailed
from mayfly.api.wire.model import Shape

# A Runtime is what this machine has, not what AWS had when the model was written.
_OPEN_ENUMS = frozenset({("lambda", "Runtime")})
# A text over its bound by far is not worth a regular expression.
_PATTERN_TEXT_MAX = 10_000
_FAILURES_MAX = 20
_VALUE_TEXT_MAX = 1_000


def validate(service: str, shape: Shape | None, params: Mapping[str, object]) -> None:
    """Check an operation's input.

    Raises:
        ValidationFailed: Naming each constraint that is broken, with value and place.
    """
    if shape is None:
        return
    failures: list[str] = []
    _structure(service, shape, params, "", failures)
    if failures:
        raise validation_failed(failures)


def validation_failed(failures: Sequence[str]) -> ValidationFailed:
    """The error for these failures, each as `failure` makes it."""
    count = len(failures)
    noun = "validation error" if count == 1 else "validation errors"
    return ValidationFailed(f"{count} {noun} detected: {'; '.join(failures[:_FAILURES_MAX])}")


def failure(place: str, value: object, constraint: str, *, sensitive: bool = False) -> str:
    """One failure: `Value 'x' at 'name' failed to satisfy constraint: Member must ...`."""
    shown = "" if sensitive else f" {_shown(value)}"
    return f"Value{shown} at '{place}' failed to satisfy constraint: {constraint}"


def _structure(
    service: str, shape: Shape, params: Mapping[str, object], path: str, failures: list[str]
) -> None:
    failures.extend(
        failure(_join(path, name), None, "Member must not be null")
        for name in shape.required
        if params.get(name) is None
    )
    for name, member in shape.members.items():
        value = params.get(name)
        if value is not None:
            _value(service, member.shape, value, _join(path, name), failures)


def _value(service: str, shape: Shape, value: object, path: str, failures: list[str]) -> None:
    failures.extend(
        failure(path, value, constraint, sensitive=shape.sensitive)
        for constraint in _broken(service, shape, value)
    )
    match shape.kind:
        case "structure" if not shape.document:
            _structure(service, shape, cast("Mapping[str, object]", value), path, failures)
        case "list":
            _elements(service, shape, cast("Sequence[object]", value), path, failures)
        case "map":
            _entries(service, shape, cast("Mapping[str, object]", value), path, failures)
        case _:
            pass


def _elements(
    service: str, shape: Shape, values: Sequence[object], path: str, failures: list[str]
) -> None:
    inner = shape.member.shape
    if inner.kind in ("structure", "list", "map"):
        for number, one in enumerate(values, 1):
            if one is not None:
                _value(service, inner, one, f"{path}.{number}.member", failures)
    elif any(_broken(service, inner, one) for one in values if one is not None):
        constraint = f"Member must satisfy constraint: [{_all(service, inner)}]"
        failures.append(failure(path, values, constraint, sensitive=inner.sensitive))


def _entries(
    service: str, shape: Shape, values: Mapping[str, object], path: str, failures: list[str]
) -> None:
    key, inner = shape.key.shape, shape.value.shape
    sensitive = shape.sensitive or key.sensitive or inner.sensitive
    if any(_broken(service, key, one) for one in values):
        constraint = f"Map keys must satisfy constraint: [{_all(service, key)}]"
        failures.append(failure(path, values, constraint, sensitive=sensitive))
    if inner.kind in ("structure", "list", "map"):
        for name, one in values.items():
            _value(service, inner, one, f"{path}.{name}.member", failures)
    elif any(_broken(service, inner, one) for one in values.values()):
        constraint = f"Map value must satisfy constraint: [{_all(service, inner)}]"
        failures.append(failure(path, values, constraint, sensitive=sensitive))


def _broken(service: str, shape: Shape, value: object) -> list[str]:
    """The constraints of one shape that a value breaks, what it holds not looked at."""
    broken = []
    lower, upper = shape.minimum, shape.maximum
    if isinstance(value, str | bytes | Sequence | Mapping):
        measured: float = len(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        measured = value
    else:
        return []
    if upper is not None and measured > upper:
        broken.append(_at_most(shape))
    if lower is not None and measured < lower:
        broken.append(_at_least(shape))
    if isinstance(value, str):
        pattern = shape.pattern if len(value) <= _PATTERN_TEXT_MAX else None
        if pattern is not None and not pattern.fullmatch(value):
            broken.append(_of_pattern(shape))
        if shape.enum and value not in shape.enum and (service, shape.name) not in _OPEN_ENUMS:
            broken.append(_of_enum(shape))
    return broken


def _all(service: str, shape: Shape) -> str:
    """Every constraint of a shape, as AWS lists them for elements, keys and values."""
    listed = []
    if shape.maximum is not None:
        listed.append(_at_most(shape))
    if shape.minimum is not None:
        listed.append(_at_least(shape))
    if shape.pattern_text:
        listed.append(_of_pattern(shape))
    if shape.enum and (service, shape.name) not in _OPEN_ENUMS:
        listed.append(_of_enum(shape))
    return ", ".join(listed)


def _at_most(shape: Shape) -> str:
    return f"Member must have {_measure(shape)} less than or equal to {_plain(shape.maximum)}"


def _at_least(shape: Shape) -> str:
    return f"Member must have {_measure(shape)} greater than or equal to {_plain(shape.minimum)}"


def _of_pattern(shape: Shape) -> str:
    return f"Member must satisfy regular expression pattern: {shape.pattern_text}"


def _of_enum(shape: Shape) -> str:
    return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"


def _measure(shape: Shape) -> str:
    numeric = shape.kind in ("integer", "long", "float", "double")
    return "value" if numeric else "length"


def _plain(bound: float | None) -> str:
    assert bound is not None
    return str(int(bound)) if bound == int(bound) else str(bound)


def _join(path: str, name: str) -> str:
    camel = name[:1].lower() + name[1:]
    return f"{path}.{camel}" if path else camel


def _shown(value: object) -> str:
    return "null" if value is None else f"'{_java(value)[:_VALUE_TEXT_MAX]}'"


def _java(value: object) -> str:
    """A value as Java's toString has it, more or less."""
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case list():
            return f"[{', '.join(_java(one) for one in value[:50])}]"
        case dict():
            return f"{{{', '.join(f'{key}={_java(one)}' for key, one in value.items())}}}"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
