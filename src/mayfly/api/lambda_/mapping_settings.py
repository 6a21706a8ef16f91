"""From Create- and UpdateEventSourceMapping's members to a mapping, checked as Lambda checks them.

The model has checked forms and bounds; here is what depends on the kind of source, and what
Mayfly lacks, refused by name. A member that asks for nothing (an empty structure) means "none".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from mayfly.api.lambda_.settings import check_tags
from mayfly.api.refusals import NotImplementedYet
from mayfly.api.wire.params import Params
from mayfly.model.errors import InvalidParameter
from mayfly.model.function import ACCOUNT_ID, REGION
from mayfly.model.mapping import SourceKind, SourceMapping, StartingPosition

FILTERS_MAX = 10
_BATCH_DEFAULT = {SourceKind.QUEUE: 10, SourceKind.STREAM: 100}
_FIFO_BATCH_MAX = 10
_UNGATHERED_BATCH_MAX = 10
_AGE_S_MIN = 60
_OF_STREAMS = (
    "ParallelizationFactor",
    "DestinationConfig",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
)
_LACKING = {
    "KMSKeyArn": "keys of KMS for filters",
    "MetricsConfig": "choices of metrics",
    "LoggingConfig": "choices of logs for mappings",
    "Topics": "Kafka topics",
    "Queues": "Amazon MQ queues",
    "SourceAccessConfigurations": "sources that need credentials",
    "SelfManagedEventSource": "Kafka clusters",
    "AmazonManagedKafkaEventSourceConfig": "Kafka clusters",
    "SelfManagedKafkaEventSourceConfig": "Kafka clusters",
    "DocumentDBEventSourceConfig": "DocumentDB",
    "ProvisionedPollerConfig": "provisioned pollers",
    "StartingPositionTimestamp": "a starting position by time",
    "TumblingWindowInSeconds": "tumbling windows",
}
_SOURCES_LACKING = {
    "kinesis": "Kinesis streams",
    "kafka": "Kafka clusters",
    "mq": "Amazon MQ brokers",
    "rds": "DocumentDB",
}
_OURS = f"{REGION}:{ACCOUNT_ID}"
_QUEUE = re.compile(rf"arn:aws:sqs:{_OURS}:[A-Za-z0-9_-]{{1,80}}(\.fifo)?", re.ASCII).fullmatch
_STANDARD_QUEUE = re.compile(rf"arn:aws:sqs:{_OURS}:[A-Za-z0-9_-]{{1,80}}", re.ASCII).fullmatch
_BUCKET = re.compile(r"arn:aws:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII).fullmatch
_STREAM = re.compile(
    rf"arn:aws:dynamodb:{_OURS}:table/[A-Za-z0-9_.-]{{3,255}}/stream/[^/]+", re.ASCII
).fullmatch

CheckFilter = Callable[[str], object]
"""Refuses a text that is no pattern with InvalidParameter."""


def source_arn(params: Params) -> str:
    """The source that a mapping is to read.

    Raises:
        NotImplementedYet: A kind of source that Mayfly lacks.
        InvalidParameter: None, or none of this account and region.
    """
    refuse_lacking(params)
    arn = params.text("EventSourceArn")
    if not arn:
        raise InvalidParameter("EventSourceArn is required: the ARN of a queue or of a stream")
    if _QUEUE(arn) or _STREAM(arn):
        return arn
    service = "".join(arn.split(":", 3)[2:3])
    if service in _SOURCES_LACKING:
        raise NotImplementedYet(
            f"Mayfly does not have {_SOURCES_LACKING[service]}; give the ARN of a queue or of a "
            "table's stream"
        )
    if service == "dynamodb":
        raise InvalidParameter(
            f"Unrecognized event source: {arn[:350]} is no stream of this account and region; give "
            "the table's LatestStreamArn"
        )
    raise InvalidParameter(
        f"Unrecognized event source: {arn[:350]}; give the ARN of a queue or of a table's stream "
        f"of this account and region ({ACCOUNT_ID}, {REGION})"
    )


def starting_position(params: Params, kind: SourceKind) -> StartingPosition:
    """Where the reading begins; of a queue it says nothing.

    Raises:
        InvalidParameter: It is missing, or cannot be with this source.
    """
    written = params.text("StartingPosition")
    if kind is SourceKind.QUEUE:
        if written:
            raise InvalidParameter("StartingPosition is not valid for SQS event sources.")
        return StartingPosition.TRIM_HORIZON
    if not written:
        raise InvalidParameter(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy "
            "constraint: Member must not be null."
        )
    if written == "AT_TIMESTAMP":
        raise InvalidParameter("Unsupported starting position for arn type: dynamodb")
    return StartingPosition(written)


def default_batch_size(kind: SourceKind) -> int:
    """Lambda's, by the kind of source."""
    return _BATCH_DEFAULT[kind]


def changed_mapping(
    before: SourceMapping, params: Params, check_filter: CheckFilter
) -> SourceMapping:
    """A mapping with what is given; the rest stays.

    Raises:
        InvalidParameter: A value that cannot be with this source.
        NotImplementedYet: What Mayfly lacks.
    """
    refuse_lacking(params)
    _refuse_unfit(params, before.kind)
    after = replace(
        before,
        batch_size=params.number("BatchSize", before.batch_size),
        window_s=params.number("MaximumBatchingWindowInSeconds", before.window_s),
        retries_max=params.number("MaximumRetryAttempts", before.retries_max),
        age_s_max=_age_s(params, before),
        parallel=params.number("ParallelizationFactor", before.parallel),
    )
    if "Enabled" in params:
        after = replace(after, enabled=params.flag("Enabled"))
    if "BisectBatchOnFunctionError" in params:
        after = replace(after, bisect=params.flag("BisectBatchOnFunctionError"))
    if "FunctionResponseTypes" in params:
        after = replace(after, partial_failures=bool(params.texts("FunctionResponseTypes")))
    if "ScalingConfig" in params:
        bound = params.structure("ScalingConfig").number("MaximumConcurrency", 0)
        after = replace(after, concurrency_max=bound or None)
    if "FilterCriteria" in params:
        after = replace(after, filters=_filters(params, check_filter))
    if "DestinationConfig" in params:
        after = replace(after, on_failure_arn=_destination(params))
    if "Tags" in params:
        check_tags(params.text_map("Tags"))
        after = replace(after, tags=params.text_map("Tags"))
    _check_batch(after)
    return after


def refuse_lacking(params: Params) -> None:
    """Refuse members that ask for what Mayfly lacks. Raises NotImplementedYet."""
    for member, what in _LACKING.items():
        if _asks(params.get(member)):
            raise NotImplementedYet(f"Mayfly does not have {what} yet; leave out {member}")


def _refuse_unfit(params: Params, kind: SourceKind) -> None:
    unfit = _OF_STREAMS if kind is SourceKind.QUEUE else ("ScalingConfig",)
    for member in unfit:
        if member in params and (_asks(params[member]) or isinstance(params[member], int)):
            raise InvalidParameter(
                f"Unsupported {member} parameter for given event source mapping type."
            )


def _check_batch(mapping: SourceMapping) -> None:
    if mapping.kind is SourceKind.STREAM:
        return
    fifo = mapping.source_arn.endswith(".fifo")
    if fifo and mapping.window_s:
        raise InvalidParameter("Batching window is not supported for FIFO queues")
    if fifo and mapping.batch_size > _FIFO_BATCH_MAX:
        raise InvalidParameter(
            f"Maximum batch size of a FIFO queue is {_FIFO_BATCH_MAX}, not {mapping.batch_size}"
        )
    if mapping.batch_size > _UNGATHERED_BATCH_MAX and not mapping.window_s:
        raise InvalidParameter(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is "
            "greater than 10"
        )


def _age_s(params: Params, before: SourceMapping) -> int:
    age_s = params.number("MaximumRecordAgeInSeconds", before.age_s_max)
    if age_s != -1 and age_s < _AGE_S_MIN:
        raise InvalidParameter(
            f"MaximumRecordAgeInSeconds must be -1 or between {_AGE_S_MIN} and 604800, not {age_s}"
        )
    return age_s


def _filters(params: Params, check_filter: CheckFilter) -> tuple[str, ...]:
    listed = params.structure("FilterCriteria").get("Filters")
    given = listed if isinstance(listed, list) else []
    patterns = tuple(one.text("Pattern") for one in given if isinstance(one, Params))
    if len(patterns) > FILTERS_MAX:
        raise InvalidParameter(
            f"Filter criteria can have at most {FILTERS_MAX} filters, not {len(patterns)}"
        )
    for pattern in patterns:
        check_filter(pattern)
    return patterns


def _destination(params: Params) -> str:
    wanted = params.structure("DestinationConfig")
    if wanted.structure("OnSuccess").text("Destination"):
        raise InvalidParameter("Unsupported DestinationConfig parameter: OnSuccess")
    arn = wanted.structure("OnFailure").text("Destination")
    if not arn or _STANDARD_QUEUE(arn) or _BUCKET(arn):
        return arn
    if arn.startswith(("arn:aws:sns:", "kafka://")):
        raise NotImplementedYet(
            f"Mayfly does not have topics yet, so OnFailure cannot name {arn[:350]}; give a queue "
            "or a bucket"
        )
    raise InvalidParameter(
        f"The destination ARN {arn[:350]} is invalid: give a standard queue of this account and "
        f"region ({ACCOUNT_ID}, {REGION}) or a bucket"
    )


def _asks(value: object) -> bool:
    """Whether a member asks for anything: empty structures, lists and texts do not."""
    if isinstance(value, dict):
        return any(_asks(one) for one in value.values())
    return bool(value)
