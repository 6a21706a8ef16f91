// An application's usual round with AWS's SDK for JavaScript v3; exits with an error when anything
// is not as it should be. The environment names the endpoint and the key.

import assert from "node:assert/strict";
import {
  ConditionalCheckFailedException,
  CreateTableCommand,
  DeleteTableCommand,
  DynamoDBClient,
  ResourceNotFoundException,
  TransactionCanceledException,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from "@aws-sdk/client-dynamodb";
import {
  DescribeStreamCommand,
  DynamoDBStreamsClient,
  GetRecordsCommand,
  GetShardIteratorCommand,
} from "@aws-sdk/client-dynamodb-streams";
import {
  BatchWriteCommand,
  DynamoDBDocumentClient,
  GetCommand,
  NumberValue,
  PutCommand,
  TransactWriteCommand,
  UpdateCommand,
  paginateQuery,
  paginateScan,
} from "@aws-sdk/lib-dynamodb";

const settings = {
  region: "us-east-1",
  endpoint: process.env.AWS_ENDPOINT_URL,
  maxAttempts: 1,
};
const client = new DynamoDBClient(settings);
const documents = DynamoDBDocumentClient.from(client);
const streams = new DynamoDBStreamsClient(settings);
const TableName = process.argv[2];

const made = await client.send(
  new CreateTableCommand({
    TableName,
    KeySchema: [
      { AttributeName: "id", KeyType: "HASH" },
      { AttributeName: "at", KeyType: "RANGE" },
    ],
    AttributeDefinitions: [
      { AttributeName: "id", AttributeType: "S" },
      { AttributeName: "at", AttributeType: "N" },
    ],
    BillingMode: "PAY_PER_REQUEST",
    StreamSpecification: { StreamEnabled: true, StreamViewType: "NEW_IMAGE" },
  }),
);
await waitUntilTableExists({ client, minDelay: 1, maxWaitTime: 10 }, { TableName });

const Item = {
  id: "a",
  at: 1,
  exact: NumberValue.from("12345678901234567890123456789012345678"),
  tags: new Set(["x", "y"]),
  bytes: new Uint8Array([0, 1, 255]),
  deep: { list: [1, "two", null, true, { three: 3.5 }] },
};
await documents.send(new PutCommand({ TableName, Item }));
const exact = DynamoDBDocumentClient.from(new DynamoDBClient(settings), {
  unmarshallOptions: { wrapNumbers: (text) => NumberValue.from(text) },
});
const kept = await exact.send(new GetCommand({ TableName, Key: { id: "a", at: 1 } }));
assert.equal(kept.Item.exact.toString(), "12345678901234567890123456789012345678");
assert.deepEqual(kept.Item.tags, Item.tags);
assert.deepEqual(kept.Item.bytes, Item.bytes);
assert.equal(kept.Item.deep.list[4].three.toString(), "3.5");

await assert.rejects(
  documents.send(
    new PutCommand({
      TableName,
      Item: { id: "a", at: 1 },
      ConditionExpression: "attribute_not_exists(id)",
      ReturnValuesOnConditionCheckFailure: "ALL_OLD",
    }),
  ),
  (error) => error instanceof ConditionalCheckFailedException && error.Item.id.S === "a",
);
const updated = await documents.send(
  new UpdateCommand({
    TableName,
    Key: { id: "a", at: 1 },
    UpdateExpression: "SET deep.#l[0] = :n ADD tags :more",
    ExpressionAttributeNames: { "#l": "list" },
    ExpressionAttributeValues: { ":n": 2, ":more": new Set(["z"]) },
    ReturnValues: "UPDATED_NEW",
  }),
);
assert.deepEqual([...updated.Attributes.tags].sort(), ["x", "y", "z"]);

for (let at = 2; at < 27; at += 25) {
  const PutRequests = Array.from({ length: 25 }, (_, n) => ({
    PutRequest: { Item: { id: "b", at: at + n } },
  }));
  await documents.send(new BatchWriteCommand({ RequestItems: { [TableName]: PutRequests } }));
}
const found = [];
const question = {
  TableName,
  KeyConditionExpression: "id = :b AND #at > :low",
  ExpressionAttributeNames: { "#at": "at" },
  ExpressionAttributeValues: { ":b": "b", ":low": 10 },
  Limit: 4,
  ScanIndexForward: false,
};
for await (const page of paginateQuery({ client: documents }, question)) found.push(...page.Items);
assert.deepEqual(found.map((one) => one.at), Array.from({ length: 16 }, (_, n) => 26 - n));
let scanned = 0;
for await (const page of paginateScan({ client: documents, pageSize: 5 }, { TableName })) {
  scanned += page.Count;
}
assert.equal(scanned, 26);

await assert.rejects(
  documents.send(
    new TransactWriteCommand({
      TransactItems: [
        { Put: { TableName, Item: { id: "c", at: 1 } } },
        {
          ConditionCheck: {
            TableName,
            Key: { id: "never", at: 1 },
            ConditionExpression: "attribute_exists(id)",
          },
        },
      ],
    }),
  ),
  (error) =>
    error instanceof TransactionCanceledException &&
    error.CancellationReasons[1].Code === "ConditionalCheckFailed",
);
await assert.rejects(
  documents.send(new GetCommand({ TableName: "nosuchtable", Key: { id: "a" } })),
  ResourceNotFoundException,
);

const StreamArn = made.TableDescription.LatestStreamArn;
const described = await streams.send(new DescribeStreamCommand({ StreamArn }));
let records = 0;
for (const { ShardId } of described.StreamDescription.Shards) {
  const { ShardIterator } = await streams.send(
    new GetShardIteratorCommand({ StreamArn, ShardId, ShardIteratorType: "TRIM_HORIZON" }),
  );
  const read = await streams.send(new GetRecordsCommand({ ShardIterator }));
  records += read.Records.length;
  for (const one of read.Records) assert.ok(one.dynamodb.NewImage.id.S);
}
assert.equal(records, 27);

await client.send(new DeleteTableCommand({ TableName }));
await waitUntilTableNotExists({ client, minDelay: 1, maxWaitTime: 10 }, { TableName });
console.log("all well");
