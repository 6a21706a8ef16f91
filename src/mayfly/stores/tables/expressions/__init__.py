"""DynamoDB's expressions, and the parameters that they replaced, as things to call.

Pure: text and values in, functions out; no table, no clock, no I/O. A text is parsed once and
remembered; names and values are bound for each request; what comes out is asked for each item.

    read_clauses(operation, request) -> Clauses(condition, update, filter, projection, key)

    tokens -> grammar -> tree          what was written, remembered by text
    placeholders                       #names and :values of one request
    predicates <- condition            paths <- projection            document <- update
    keycondition                       legacy                         clauses: all of it
"""

from mayfly.stores.tables.expressions.clauses import Clauses, read_clauses
from mayfly.stores.tables.expressions.condition import Condition, compile_condition
from mayfly.stores.tables.expressions.keycondition import (
    KeyCondition,
    KeyRange,
    compile_key_condition,
)
from mayfly.stores.tables.expressions.placeholders import Placeholders
from mayfly.stores.tables.expressions.projection import Projection, compile_projection
from mayfly.stores.tables.expressions.update import ReturnValues, Update, compile_update

__all__ = [
    "Clauses",
    "Condition",
    "KeyCondition",
    "KeyRange",
    "Placeholders",
    "Projection",
    "ReturnValues",
    "Update",
    "compile_condition",
    "compile_key_condition",
    "compile_projection",
    "compile_update",
    "read_clauses",
]
