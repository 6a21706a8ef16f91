"""An expression's text as tokens, and a cursor over them that says where a fault is.

a.b[3] = :v AND size(#n) > :m
WORD . WORD [ INDEX ] = VALUE AND WORD ( NAME ) > VALUE
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple, NoReturn

EXPRESSION_BYTES_MAX = 4096
OPERATORS_MAX = 300
# As deep as 300 operators can be when each is put into parentheses, as boto3 does. It also keeps
# the parser, at three calls a level, off Python's recursion limit.
NESTING_MAX = 150
INDEX_MAX = 2**31 - 1


class Flaw(Exception):
    """What is wrong with an expression; its parameter's name is put before it at the border."""


class Kind(Enum):
    """What a token is."""

    WORD = "word"
    NAME = "name"
    VALUE = "value"
    INDEX = "index"
    SIGN = "sign"
    END = "end"
    STRAY = "stray"


class Token(NamedTuple):
    """One token; `start` and `end` are its place in the text."""

    kind: Kind
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"[ \t\r\n]*(?:"
    r"(?P<word>[A-Za-z][A-Za-z0-9_]*)|(?P<name>#[A-Za-z0-9_]+)|(?P<value>:[A-Za-z0-9_]+)"
    r"|(?P<index>[0-9]+)|(?P<sign><=|>=|<>|[=<>()\[\],.+\-])|(?P<stray>[^ \t\r\n]))"
)
_KINDS = {kind.value: kind for kind in Kind}


def tokens_of(text: str) -> list[Token]:
    """All tokens of a text, an END behind them."""
    found = [
        Token(_KINDS[one.lastgroup], one[one.lastgroup], one.start(one.lastgroup), one.end())
        for one in _TOKEN.finditer(text)
        if one.lastgroup is not None
    ]
    found.append(Token(Kind.END, "<EOF>", len(text), len(text)))
    return found


class Cursor:
    """A place among an expression's tokens.

    Faults that are not of the syntax are noted while parsing goes on, since a fault of the syntax
    further on is told instead; `close` tells the gravest.
    """

    def __init__(self, text: str) -> None:
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > EXPRESSION_BYTES_MAX:
            raise Flaw(
                f"Expression size has exceeded the maximum allowed size; expression size: {size}"
            )
        self._text = text
        self._tokens = tokens_of(text)
        if len(self._tokens) == 1:
            raise Flaw("The expression can not be empty;")
        self.place = 0
        self._depth = 0
        self._operators = 0
        self._noted: dict[int, str] = {}

    @property
    def token(self) -> Token:
        """The token at the cursor."""
        return self._tokens[self.place]

    @property
    def following(self) -> Token:
        """The token behind the one at the cursor."""
        return self._tokens[min(self.place + 1, len(self._tokens) - 1)]

    def at(self, sign: str) -> bool:
        """Whether a sign is at the cursor."""
        token = self._tokens[self.place]
        return token.kind is Kind.SIGN and token.text == sign

    def at_word(self, *words: str) -> bool:
        """Whether one of these keywords is at the cursor, in any case."""
        token = self._tokens[self.place]
        return token.kind is Kind.WORD and token.text.upper() in words

    def step(self) -> Token:
        """The token at the cursor, which moves on."""
        token = self._tokens[self.place]
        if token.kind is not Kind.END:
            self.place += 1
        return token

    def take(self, sign: str) -> bool:
        """Move over a sign, if it is at the cursor."""
        found = self.at(sign)
        self.place += found
        return found

    def take_word(self, *words: str) -> bool:
        """Move over a keyword, if it is at the cursor."""
        found = self.at_word(*words)
        self.place += found
        return found

    def want(self, sign: str) -> None:
        """Move over a sign that must be here."""
        if not self.take(sign):
            self.refuse()

    def refuse(self) -> NoReturn:
        """A fault of the syntax, at the cursor."""
        first = self._tokens[max(self.place - 1, 0)]
        near = self._text[first.start : self.following.end].strip()
        raise Flaw(f'Syntax error; token: "{self.token.text}", near: "{near}"')

    def descend(self) -> None:
        """Enter parentheses, a NOT or a function's operands."""
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise Flaw(f"The expression is nested more than {NESTING_MAX} levels deep")

    def ascend(self) -> None:
        """Leave them."""
        self._depth -= 1

    def count_operator(self) -> None:
        """Count an operator or a function."""
        self._operators += 1

    def note(self, weight: int, message: str) -> None:
        """Note a fault that is not of the syntax; of one weight the first is told."""
        self._noted.setdefault(weight, message)

    def close(self) -> None:
        """Tell the gravest fault, once the whole text was read.

        Raises:
            Flaw: There is something behind the expression, or something was noted.
        """
        if self.token.kind is not Kind.END:
            self.refuse()
        if self._operators > OPERATORS_MAX:
            raise Flaw(
                f"The expression contains too many operators; operator count: {self._operators}"
            )
        if self._noted:
            raise Flaw(self._noted[min(self._noted)])
