"""A table as DescribeTable tells it: its definition and its figures under AWS's names.

Nothing is looked up here; whoever asks has counted before, or tells a table that is new.
"""

from __future__ import annotations

from mayfly.stores.tables.definition import (
    Billing,
    Definition,
    Index,
    IndexKind,
    IndexStatus,
    Key,
    ProjectionType,
    Stream,
    Throughput,
)
from mayfly.stores.tables.figures import Figures

Document = dict[str, object]


def table_description(definition: Definition, figures: Figures, status: str = "ACTIVE") -> Document:
    """The members of a TableDescription.

    Args:
        status: Told instead of ACTIVE in answers that make or remove a table.
    """
    document: Document = {
        "TableName": definition.name,
        "TableStatus": status,
        "TableArn": definition.arn,
        "TableId": definition.uuid,
        "CreationDateTime": definition.created_ms / 1000,
        "KeySchema": key_schema(definition.key),
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in definition.attribute_types.items()
        ],
        "ProvisionedThroughput": _throughput(definition.throughput),
        "TableSizeBytes": figures.size,
        "ItemCount": figures.count,
        "DeletionProtectionEnabled": definition.protected,
    }
    if definition.billing is Billing.PAY_PER_REQUEST:
        document["BillingModeSummary"] = {
            "BillingMode": definition.billing,
            "LastUpdateToPayPerRequestDateTime": definition.on_demand_since_ms / 1000,
        }
    if definition.table_class:
        document["TableClassSummary"] = {"TableClass": definition.table_class}
    for member, kind in (
        ("GlobalSecondaryIndexes", IndexKind.GLOBAL),
        ("LocalSecondaryIndexes", IndexKind.LOCAL),
    ):
        indexes = [one for one in definition.indexes if one.kind is kind]
        if indexes:
            document[member] = [_index(definition, one, figures) for one in indexes]
    if definition.stream is not None:
        document |= _stream(definition.stream)
    return document


def key_schema(key: Key) -> list[Document]:
    """The members of a KeySchema."""
    kinds = zip(key.names, ("HASH", "RANGE"), strict=False)
    return [{"AttributeName": name, "KeyType": kind} for name, kind in kinds]


def _index(definition: Definition, index: Index, figures: Figures) -> Document:
    count = figures.index_counts.get(index.index_id, 0)
    projection: Document = {"ProjectionType": index.projection}
    if index.projection is ProjectionType.INCLUDE:
        projection["NonKeyAttributes"] = index.included
    document: Document = {
        "IndexName": index.name,
        "KeySchema": key_schema(index.key),
        "Projection": projection,
        "IndexArn": f"{definition.arn}/index/{index.name}",
        "ItemCount": count,
        "IndexSizeBytes": figures.size * count // figures.count if figures.count else 0,
    }
    if index.kind is IndexKind.GLOBAL:
        document["IndexStatus"] = index.status
        document["ProvisionedThroughput"] = _throughput(index.throughput)
        if index.status is IndexStatus.CREATING:
            document["Backfilling"] = True
    return document


def _throughput(throughput: Throughput) -> Document:
    return {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": throughput.read_units,
        "WriteCapacityUnits": throughput.write_units,
    }


def _stream(stream: Stream) -> Document:
    document: Document = {"LatestStreamLabel": stream.label, "LatestStreamArn": stream.arn}
    if not stream.ended_ms:
        document["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": stream.view}
    return document
