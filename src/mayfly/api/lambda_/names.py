"""How callers name a function: by name, partial ARN or ARN, each with a qualifier or without.

hello    hello:$LATEST    000000000000:function:hello
arn:aws:lambda:us-east-1:000000000000:function:hello:$LATEST
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from mayfly.api.wire.validate import failure, validation_failed
from mayfly.model import limits
from mayfly.model.errors import InvalidParameter, NotFound
from mayfly.model.function import ACCOUNT_ID, LATEST, REGION, Function
from mayfly.ports import Registry

is_plain_name = re.compile(rf"[A-Za-z0-9_-]{{1,{limits.NAME_LENGTH_MAX}}}", re.ASCII).fullmatch
_REFERENCE = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?"
    r"(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[A-Za-z0-9_.-]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[A-Za-z0-9_-]+))?",
    re.ASCII,
).fullmatch


@dataclass(frozen=True, slots=True)
class Reference:
    """A function as a caller named it.

    Args:
        qualifier: A version or an alias, "" where none was given.
    """

    name: str
    qualifier: str = ""

    @property
    def arn(self) -> str:
        """The ARN, qualified where the caller's was."""
        plain = f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{self.name}"
        return f"{plain}:{self.qualifier}" if self.qualifier else plain


def parse_reference(written: str, qualifier: str = "", *, place: str = "functionName") -> Reference:
    """Understand a function's name or ARN, and the qualifier that came beside it.

    Raises:
        ValidationFailed: It is none, or the name is too long.
        InvalidParameter: It has a qualifier of its own that is another one.
        NotFound: It is of another region or account.
    """
    if is_plain_name(written):
        return Reference(written, qualifier)
    found = _REFERENCE(written)
    if found is None:
        raise validation_failed(
            [
                failure(
                    place,
                    written,
                    "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)"
                    "?([a-z]{2}-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)"
                    "(:(\\$LATEST|[a-zA-Z0-9-_]+))?",
                )
            ]
        )
    name, own = found["name"], found["qualifier"] or ""
    if len(name) > limits.NAME_LENGTH_MAX:
        bound = f"Member must have length less than or equal to {limits.NAME_LENGTH_MAX}"
        raise validation_failed([failure(place, name, bound)])
    if found["region"] not in (None, REGION):
        raise NotFound(
            f"Functions from '{found['region']}' are not reachable in this region ('{REGION}')"
        )
    if found["account"] not in (None, ACCOUNT_ID):
        raise NotFound(f"Function not found: {written}")
    if own and qualifier and own != qualifier:
        raise InvalidParameter(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    return Reference(name, qualifier or own)


def find_function(registry: Registry, reference: Reference) -> Function:
    """The function that is meant; only `$LATEST` exists of each.

    Raises:
        NotFound: There is none, or not this version.
    """
    function = registry.function_nowait(reference.name)
    if function is None or reference.qualifier not in ("", LATEST):
        raise NotFound(f"Function not found: {reference.arn}")
    return function
