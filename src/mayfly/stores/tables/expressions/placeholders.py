"""A request's #names and :values: what they stand for, and which of them no expression used.

One of these belongs to one request. Values are handed out as they are, never copied: whoever
stores one shares it with the request.
"""

from __future__ import annotations

import re
from typing import cast

from mayfly.stores.tables.errors import InvalidRequest
from mayfly.stores.tables.expressions.tokens import Flaw
from mayfly.stores.tables.expressions.tree import Path, Step
from mayfly.stores.tables.values import AttributeValue, UnreadableValue, read_value

_is_name = re.compile(r"#[0-9a-zA-Z_]+").fullmatch
_is_value = re.compile(r":[0-9a-zA-Z_]+").fullmatch
_NAMES = "ExpressionAttributeNames"
_VALUES = "ExpressionAttributeValues"

# A path with every name resolved.
Steps = tuple[Step, ...]


class Placeholders:
    """The placeholders of one request, shared by its expressions.

    Args:
        names: ExpressionAttributeNames as parsed from JSON, None where the request has none.
        values: ExpressionAttributeValues likewise; their numbers are brought into normal form
            in place.

    Raises:
        InvalidRequest: A placeholder is misspelt, or stands for something that cannot be.
    """

    __slots__ = ("_names", "_unused_names", "_unused_values", "_values")

    def __init__(self, names: object = None, values: object = None) -> None:
        self._names = {} if names is None else _checked_names(names)
        self._values = {} if values is None else _checked_values(values)
        self._unused_names = set(self._names)
        self._unused_values = set(self._values)

    def path(self, path: Path) -> Steps:
        """A path with its names filled in.

        Raises:
            Flaw: A name is not defined.
        """
        steps = path.steps
        if not self._names and len(steps) == 1 and cast(str, steps[0])[0] != "#":
            return steps
        return tuple([self._step(step) for step in steps])

    def value(self, name: str) -> AttributeValue:
        """What a placeholder of a value stands for.

        Raises:
            Flaw: It is not defined.
        """
        value = self._values.get(name)
        if value is None:
            raise Flaw(
                "An expression attribute value used in expression is not defined; "
                f"attribute value: {name}"
            )
        self._unused_values.discard(name)
        return value

    def refuse_unused(self) -> None:
        """Refuse placeholders that no expression of the request used.

        Raises:
            InvalidRequest: There is one.
        """
        unused = (
            (_NAMES, self._names, self._unused_names),
            (
                _VALUES,
                self._values,
                self._unused_values,
            ),
        )
        for parameter, given, left in unused:
            if left:
                keys = ", ".join(one for one in given if one in left)
                raise InvalidRequest(
                    f"Value provided in {parameter} unused in expressions: keys: {{{keys}}}"
                )

    def _step(self, step: Step) -> Step:
        if isinstance(step, int) or step[0] != "#":
            return step
        name = self._names.get(step)
        if name is None:
            raise Flaw(
                "An expression attribute name used in the document path is not defined; "
                f"attribute name: {step}"
            )
        self._unused_names.discard(step)
        return name


def _checked_names(names: object) -> dict[str, str]:
    if not isinstance(names, dict):
        raise UnreadableValue("Expected map or null")
    if not names:
        raise InvalidRequest(f"{_NAMES} must not be empty")
    for key, name in names.items():
        if not _is_name(key):
            raise InvalidRequest(f'{_NAMES} contains invalid key: Syntax error; key: "{key}"')
        if not isinstance(name, str):
            raise UnreadableValue("an attribute's name must be a String")
        if not name:
            raise InvalidRequest(
                f"{_NAMES} contains invalid value: Empty attribute name for key {key}"
            )
    return names


def _checked_values(values: object) -> dict[str, AttributeValue]:
    if not isinstance(values, dict):
        raise UnreadableValue("Expected map or null")
    if not values:
        raise InvalidRequest(f"{_VALUES} must not be empty")
    for key, value in values.items():
        if not _is_value(key):
            raise InvalidRequest(f'{_VALUES} contains invalid key: Syntax error; key: "{key}"')
        try:
            read_value(value)
        except UnreadableValue:
            raise
        except InvalidRequest as error:
            raise InvalidRequest(
                f"{_VALUES} contains invalid value: {error} for key {key}"
            ) from None
    return values
