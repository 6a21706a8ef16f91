"""DynamoDB's expressions, and the older parameters that they replaced, as things to call.

Pure: text and values in, closures out; no table, no clock, no I/O.

    read_clauses(operation: str, request: Mapping[str, object]) -> Clauses
        "PutItem" "UpdateItem" "DeleteItem" "GetItem" "Query" "Scan"; "Keys" is a table of
        BatchGetItem; "Put" "Update" "Delete" "ConditionCheck" "Get" are parts of transactions.
        Clauses: condition, update, filter, projection, key; each None where there is none.
        UpdateItem without an update has one that changes nothing.

    Condition.holds(item: Item) -> bool                 {} stands for an item that is not there
    Update.refuse_keys(names: Iterable[str]) -> None
    Update.apply(old: Item | None, key: Item) -> Item   a new item, which shares values with `old`
    Update.returned(kind: ReturnValues, old: Item | None, new: Item) -> Item | None
    Projection.of(item: Item) -> Item
    KeyCondition.resolve(key: Key) -> KeyRange          hash, low, high: low <= range < high
    each: .attributes: frozenset[str], the top-level names that it reads or writes

    Placeholders(names, values) with compile_condition(text, placeholders, parameter=...),
    compile_update, compile_projection, compile_key_condition, and Placeholders.refuse_unused().
"""
