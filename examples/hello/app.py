"""A small function: greets whom the event or the URL's query names.

mayfly deploy examples/hello
mayfly invoke hello '{"name": "Ada"}'
curl "$(mayfly inspect hello --json | jq -r .url)?name=Ada"
"""

import os

# Done once, at import; every call starts as a copy of the process that holds it.
GREETING = os.environ["GREETING"]


def handler(event, context):
    """Answer with a greeting; whatever is printed goes to the function's log."""
    query = event.get("queryStringParameters") or {}
    name = event.get("name") or query.get("name") or "world"
    print(f"greeting {name}, {context.get_remaining_time_in_millis()} ms left")
    return {"message": f"{GREETING}, {name}!", "request": context.aws_request_id}
