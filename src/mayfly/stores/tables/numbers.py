"""Numbers as DynamoDB keeps them: decimal, 38 significant digits, 1E-130 to 9.99E+125, exact.

A number is text on the wire and stays text here, in one *normal form*: plain notation, no sign of
plus, no zero that says nothing. So two equal numbers are equal texts, and only order and
arithmetic need a `Decimal`. Nothing here rounds.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact, InvalidOperation, Overflow

from mayfly.stores.tables.errors import InvalidRequest

DIGITS_MAX = 38
MAGNITUDE_MAX = 125
MAGNITUDE_MIN = -130

_TOO_LARGE = (
    "Number overflow. Attempting to store a number with magnitude larger than supported range"
)
_TOO_SMALL = (
    "Number underflow. Attempting to store a number with magnitude smaller than supported range"
)
_TOO_LONG = "Attempting to store more than 38 significant digits in a Number"
_NOT_NUMERIC = "The parameter cannot be converted to a numeric value"

# Most numbers are in normal form already: whole ones, seen at a glance.
_is_normal = re.compile(r"-?[1-9][0-9]{0,37}|0").fullmatch
_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
# An exponent must fit 64 bits to be a number at all; AWS says overflow or underflow below that.
_EXPONENT_MAX = 2**63 - 1
_EXPONENT_DIGITS_MAX = 19
_EXACT = Context(prec=400, traps=[Inexact, InvalidOperation, Overflow])


def normalise(text: str) -> str:
    """The normal form of a number.

    Raises:
        InvalidRequest: It is no number, or beyond DynamoDB's bounds.
    """
    if _is_normal(text):
        return text
    matched = _NUMBER.fullmatch(text)
    if not matched:
        raise InvalidRequest(f"{_NOT_NUMERIC}: {text}")
    sign, whole, fraction, exponent = matched.groups(default="")
    digits = whole + fraction
    if not digits:
        raise InvalidRequest(f"{_NOT_NUMERIC}: {text}")
    significant = digits.lstrip("0")
    scale = _scale(exponent, text)
    significant = significant.rstrip("0")
    if not significant:
        # Zero is held to the range by the exponent that it is written with.
        _refuse_magnitude(scale)
        return "0"
    point = len(whole) - (len(digits) - len(digits.lstrip("0"))) + scale
    return _written("-" if sign == "-" else "", significant, point)


def size_of(text: str) -> int:
    """Bytes that DynamoDB counts for a number in normal form.

    One, one for each two significant digits before the point and behind it, and one for a minus.
    Measured on AWS; its guide forgets that the point splits a pair.
    """
    whole, _, fraction = text.lstrip("-").partition(".")
    if not fraction:
        digits = (len(whole.strip("0")) + 1) // 2
    elif whole == "0":
        digits = (len(fraction.lstrip("0")) + 1) // 2
    else:
        digits = (len(whole) + 1) // 2 + (len(fraction) + 1) // 2
    return digits + (2 if text[0] == "-" else 1)


def added(augend: str, addend: str) -> str:
    """The exact sum of two numbers in normal form.

    Raises:
        InvalidRequest: The sum is beyond DynamoDB's bounds.
    """
    return _exact(_EXACT.add(Decimal(augend), Decimal(addend)))


def subtracted(minuend: str, subtrahend: str) -> str:
    """The exact difference of two numbers in normal form.

    Raises:
        InvalidRequest: The difference is beyond DynamoDB's bounds.
    """
    return _exact(_EXACT.subtract(Decimal(minuend), Decimal(subtrahend)))


def sort_bytes(text: str) -> bytes:
    """A number in normal form as bytes whose order is the numbers' order.

        negative   00  FF-exponent  FE-pair  FE-pair ...  FF
        zero       01
        positive   02  exponent     pair     pair ...

    The exponent is that of the first digit, plus 130, in one byte; a pair is two decimal digits,
    as BCD. The FF at a negative's end puts -12 above -121.
    """
    if text == "0":
        return b"\x01"
    digits = text.lstrip("-")
    whole, _, fraction = digits.partition(".")
    if whole == "0":
        significant = fraction.lstrip("0")
        exponent = len(significant) - len(fraction) - 1
    else:
        significant = (whole + fraction).rstrip("0")
        exponent = len(whole) - 1
    exponent -= MAGNITUDE_MIN
    pairs = bytes.fromhex(significant + "0" if len(significant) % 2 else significant)
    if text[0] == "-":
        return b"\x00" + bytes((255 - exponent,)) + pairs.translate(_DESCENDING) + b"\xff"
    return b"\x02" + bytes((exponent,)) + pairs


_DESCENDING = bytes((0xFE - pair) % 256 for pair in range(256))


def _exact(number: Decimal) -> str:
    """A result as text; one of too many digits is called an overflow, as AWS calls it."""
    if len(number.normalize(_EXACT).as_tuple().digits) > DIGITS_MAX:
        raise InvalidRequest(_TOO_LARGE)
    return normalise(str(number))


def _scale(exponent: str, text: str) -> int:
    """A written exponent as a number of bounded size."""
    digits = exponent.lstrip("+-0")
    if len(digits) > _EXPONENT_DIGITS_MAX or int(digits or 0) > _EXPONENT_MAX:
        raise InvalidRequest(f"{_NOT_NUMERIC}: {text}")
    return -int(digits or 0) if exponent.startswith("-") else int(digits or 0)


def _refuse_magnitude(magnitude: int) -> None:
    if magnitude > MAGNITUDE_MAX:
        raise InvalidRequest(_TOO_LARGE)
    if magnitude < MAGNITUDE_MIN:
        raise InvalidRequest(_TOO_SMALL)


def _written(sign: str, significant: str, point: int) -> str:
    """Plain notation of 0.`significant` times ten to the power of `point`."""
    _refuse_magnitude(point - 1)
    if len(significant) > DIGITS_MAX:
        raise InvalidRequest(_TOO_LONG)
    if point <= 0:
        return f"{sign}0.{'0' * -point}{significant}"
    if point >= len(significant):
        return f"{sign}{significant}{'0' * (point - len(significant))}"
    return f"{sign}{significant[:point]}.{significant[point:]}"
