"""The query protocol is a translation: forms become documents, documents become elements."""

from __future__ import annotations

from mayfly.api.message import Headers, Principal, Request
from mayfly.api.sqs.query import read_query, write_query
from mayfly.api.wire.xml_body import parse_xml

WHO = Principal("AKID", "0" * 12, "arn:aws:iam::000000000000:root", "sqs", "us-east-1")


def read(form: str, path: str = "/", query: str = "") -> tuple[str, dict[str, object]]:
    return read_query(Request("POST", path, query, Headers(), form.encode(), WHO, "id"))


def test_lists_maps_and_entries_are_found_under_their_older_names() -> None:
    action, document = read(
        "Action=SendMessageBatch&Version=2012-11-05&QueueUrl=http%3A%2F%2Fh%2F0%2Fq"
        "&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x+y"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Name=n"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.DataType=String"
        "&SendMessageBatchRequestEntry.1.MessageAttribute.1.Value.StringValue=v"
        "&SendMessageBatchRequestEntry.2.Id=b&SendMessageBatchRequestEntry.2.DelaySeconds=5"
    )
    assert action == "SendMessageBatch"
    attribute = {"n": {"DataType": "String", "StringValue": "v"}}
    assert document == {
        "QueueUrl": "http://h/0/q",
        "Entries": [
            {"Id": "a", "MessageBody": "x y", "MessageAttributes": attribute},
            {"Id": "b", "DelaySeconds": "5"},
        ],
    }


def test_a_request_to_a_queues_path_is_about_that_queue() -> None:
    _, document = read("Action=ReceiveMessage&AttributeName.1=All", "/000000000000/q")
    assert document == {"QueueUrl": "/000000000000/q", "AttributeNames": ["All"]}
    assert read("", "/", "Action=ListQueues") == ("ListQueues", {})


def test_tags_of_a_new_queue_have_another_name() -> None:
    form = "Action=CreateQueue&QueueName=q&Tag.1.Key=k&Tag.1.Value=v"
    assert read(form)[1] == {"QueueName": "q", "tags": {"k": "v"}}


def test_a_received_message_is_written_as_elements() -> None:
    message = {
        "MessageId": "m",
        "Body": "<&>\r\n",
        "Attributes": {"SentTimestamp": "1"},
        "MessageAttributes": {"n": {"StringValue": "v", "DataType": "String"}},
    }
    body = write_query("ReceiveMessage", {"Messages": [message]}, "r").body
    root = parse_xml(body)
    assert root.tag == "ReceiveMessageResponse"
    found = root.find("ReceiveMessageResult/Message")
    assert found is not None
    assert found.findtext("Body") == "<&>\r\n"
    assert found.findtext("Attribute/Name") == "SentTimestamp"
    assert found.findtext("Attribute/Value") == "1"
    assert found.findtext("MessageAttribute/Value/StringValue") == "v"
    assert root.findtext("ResponseMetadata/RequestId") == "r"


def test_an_answer_without_members_has_its_result_only_where_there_is_one() -> None:
    assert (
        b"<ReceiveMessageResult></ReceiveMessageResult>"
        in write_query("ReceiveMessage", {}, "r").body
    )
    assert b"Result" not in write_query("DeleteMessage", None, "r").body
