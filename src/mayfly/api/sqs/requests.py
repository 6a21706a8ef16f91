"""The members that each operation takes, as msgspec reads them: quickly, and with their types.

A test holds these against botocore's model. The model is not used at run time because reading a
message's members by it takes several times as long as all else that is done for the message.
None is "not sent"; whether a member must be sent is the operation's to say.
"""

from __future__ import annotations

from msgspec import Struct, field


class Members(Struct, rename="pascal", frozen=True):
    """What a request holds."""


class QueueMembers(Members, frozen=True):
    """A request about one queue."""

    queue_url: str = ""


class AttributeValue(Members, frozen=True):
    """A message attribute. Bytes come as base64."""

    data_type: str = ""
    string_value: str | None = None
    binary_value: bytes | None = None
    string_list_values: list[str] | None = None
    binary_list_values: list[bytes] | None = None


AttributeValues = dict[str, AttributeValue] | None


class OutgoingMessage(Members, frozen=True):
    """What is sent, alone or in a batch."""

    message_body: str | None = None
    delay_seconds: int | None = None
    message_attributes: AttributeValues = None
    message_system_attributes: AttributeValues = None
    message_deduplication_id: str | None = None
    message_group_id: str | None = None


class SendMessage(OutgoingMessage, frozen=True):
    """SendMessage."""

    queue_url: str = ""


class OutgoingEntry(OutgoingMessage, frozen=True):
    """An entry of SendMessageBatch."""

    id: str = ""


class SendMessageBatch(QueueMembers, frozen=True):
    """SendMessageBatch."""

    entries: list[OutgoingEntry] | None = None


class ReceiveMessage(QueueMembers, frozen=True):
    """ReceiveMessage."""

    attribute_names: list[str] | None = None
    message_system_attribute_names: list[str] | None = None
    message_attribute_names: list[str] | None = None
    max_number_of_messages: int | None = None
    visibility_timeout: int | None = None
    wait_time_seconds: int | None = None
    receive_request_attempt_id: str | None = None


class DeleteMessage(QueueMembers, frozen=True):
    """DeleteMessage."""

    receipt_handle: str | None = None


class DeletionEntry(Members, frozen=True):
    """An entry of DeleteMessageBatch."""

    id: str = ""
    receipt_handle: str | None = None


class DeleteMessageBatch(QueueMembers, frozen=True):
    """DeleteMessageBatch."""

    entries: list[DeletionEntry] | None = None


class ChangeMessageVisibility(QueueMembers, frozen=True):
    """ChangeMessageVisibility."""

    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class VisibilityEntry(Members, frozen=True):
    """An entry of ChangeMessageVisibilityBatch."""

    id: str = ""
    receipt_handle: str | None = None
    visibility_timeout: int | None = None


class ChangeMessageVisibilityBatch(QueueMembers, frozen=True):
    """ChangeMessageVisibilityBatch."""

    entries: list[VisibilityEntry] | None = None


class CreateQueue(Members, frozen=True):
    """CreateQueue."""

    queue_name: str | None = None
    attributes: dict[str, str] | None = None
    tags: dict[str, str] | None = field(default=None, name="tags")


class GetQueueUrl(Members, frozen=True):
    """GetQueueUrl."""

    queue_name: str | None = None
    queue_owner_aws_account_id: str | None = field(default=None, name="QueueOwnerAWSAccountId")


class ListQueues(Members, frozen=True):
    """ListQueues."""

    queue_name_prefix: str | None = None
    next_token: str | None = None
    max_results: int | None = None


class GetQueueAttributes(QueueMembers, frozen=True):
    """GetQueueAttributes."""

    attribute_names: list[str] | None = None


class SetQueueAttributes(QueueMembers, frozen=True):
    """SetQueueAttributes."""

    attributes: dict[str, str] | None = None


class ListDeadLetterSourceQueues(QueueMembers, frozen=True):
    """ListDeadLetterSourceQueues."""

    next_token: str | None = None
    max_results: int | None = None


class TagQueue(QueueMembers, frozen=True):
    """TagQueue."""

    tags: dict[str, str] | None = None


class UntagQueue(QueueMembers, frozen=True):
    """UntagQueue."""

    tag_keys: list[str] | None = None


class AddPermission(QueueMembers, frozen=True):
    """AddPermission."""

    label: str | None = None
    aws_account_ids: list[str] | None = field(default=None, name="AWSAccountIds")
    actions: list[str] | None = None


class RemovePermission(QueueMembers, frozen=True):
    """RemovePermission."""

    label: str | None = None


class StartMessageMoveTask(Members, frozen=True):
    """StartMessageMoveTask."""

    source_arn: str | None = None
    destination_arn: str | None = None
    max_number_of_messages_per_second: int | None = None


class ListMessageMoveTasks(Members, frozen=True):
    """ListMessageMoveTasks."""

    source_arn: str | None = None
    max_results: int | None = None


class CancelMessageMoveTask(Members, frozen=True):
    """CancelMessageMoveTask."""

    task_handle: str | None = None
