"""AWS's protocols, both ways, from the service models that botocore ships.

One piece of code for rest-json, rest-xml, json and query; no shape is written by hand, and botocore
itself is not imported. Reading order: `model`, `match` (which operation), `parse` and `serialise`
(the two ways), `validate`; then how each body is written: `json_body`, `xml_body`, `query_body`,
`rest`, down to `scalars`.
"""
