"""Function URLs: an HTTP request becomes an event, an outcome becomes an HTTP reply.

The event has payload format 2.0, as the Lambda Developer Guide gives it under "Invoking Lambda
function URLs"; what the guide leaves open (which content types are text, which headers are taken
out) follows what AWS does. The server listens, reads and authenticates; this only translates, and
answers CORS preflights, which AWS keeps from the function as well.

    request --event()--> {"version": "2.0", ...} --> engine --> outcome --reply()--> status, body
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import msgspec

from mayfly.model.errors import MayflyError, RequestTooLarge, TooManyRequests
from mayfly.model.function import REGION, UrlAuth
from mayfly.model.invocation import Outcome
from mayfly.model.url_call import UrlCall, UrlReply

# Text goes into the event as it is; everything else, a form and a missing type included, is
# base64. AWS does not write this list down; it was found by trying, by several people.
_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# RFC 9110, 5.6.2: what a header's name may be made of.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}\Z")
_VALUE_BREAKS = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
# They belong to the connection, which is the server's, or are told from the body.
_CONNECTION_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "te", "trailer", "upgrade", "x-amzn-requestid"}
)
_REMAPPED_HEADERS = frozenset({"connection", "date", "keep-alive"})
_STATUS_MIN, _STATUS_MAX = 200, 599
_BODILESS = frozenset({204, 304})
_FORM_ITEMS_MAX = 1_000

_JSON: tuple[bytes, bytes] = (b"content-type", b"application/json")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class FunctionUrls:
    """The source `http`; fits the server's `UrlSource`. It keeps nothing."""

    def preflight(self, call: UrlCall) -> UrlReply | None:
        """The answer to a CORS preflight of a URL that has a Cors configuration, else None."""
        cors, headers = call.url.cors, call.headers
        if (
            not cors
            or call.method != "OPTIONS"
            or "origin" not in headers
            or "access-control-request-method" not in headers
        ):
            return None
        return UrlReply(200, _preflight_headers(cors, headers["origin"]), b"")

    def event(self, call: UrlCall) -> bytes:
        """The event document."""
        return _encode(event_document(call))

    def reply(self, call: UrlCall, outcome: Outcome) -> UrlReply:
        """What the function's outcome means in HTTP. A failure of the function is a 502."""
        if outcome.error is not None:
            return _finish(call, _failed(""))
        inferred = UrlReply(200, [_JSON], outcome.payload or b"null")
        if not outcome.payload.lstrip().startswith(b"{"):
            return _finish(call, inferred)
        try:
            answer: object = _decode(outcome.payload)
            if isinstance(answer, dict) and "statusCode" in answer:
                return _finish(call, _explicit(answer))
        except _Unusable as unusable:
            return _finish(call, _failed(str(unusable)))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return _finish(call, _failed(f"the answer is no JSON: {error}"))
        return _finish(call, inferred)

    def refusal(self, call: UrlCall, error: MayflyError) -> UrlReply:
        """What an error before or instead of an outcome means in HTTP, in AWS's words."""
        match error:
            case TooManyRequests():
                document = {"Reason": error.reason, "Type": "User", "message": "Rate Exceeded."}
                return _finish(call, UrlReply(429, [_JSON], _encode(document)))
            case RequestTooLarge():
                return _finish(call, UrlReply(413, [_JSON], _encode({"Message": error.message})))
            case _ if error.fault == "client":
                document = {"Message": error.message}
                return _finish(call, UrlReply(error.status, [_JSON], _encode(document)))
            case _:
                said = "Service Unavailable" if error.retryable else "Internal Server Error"
                document = {"Message": said}
                return _finish(call, UrlReply(error.status, [_JSON], _encode(document)))


# The event


def event_document(call: UrlCall) -> dict[str, object]:
    """The event, payload format 2.0, before it is written."""
    text, is_base64 = _body_text(call)
    event: dict[str, object] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": call.raw_path,
        "rawQueryString": call.query_string,
        "headers": _event_headers(call),
        "requestContext": _request_context(call),
        "isBase64Encoded": is_base64,
    }
    if cookies := call.headers.get("cookie"):
        event["cookies"] = [one for one in re.split(r"[;,] *", cookies) if one]
    if call.query_string:
        event["queryStringParameters"] = _query_parameters(call.query_string)
    if call.body:
        event["body"] = text
    return event


def _body_text(call: UrlCall) -> tuple[str, bool]:
    """The body as the event has it, and whether that is base64."""
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoded = call.headers.get("content-encoding", "identity").lower() != "identity"
    if not encoded and (kind in _TEXT_TYPES or kind.startswith("text/") or kind.endswith("+json")):
        try:
            return call.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(call.body).decode("ascii"), bool(call.body)


def _event_headers(call: UrlCall) -> dict[str, str]:
    headers = dict(call.headers)
    headers.pop("cookie", None)
    if call.url.auth is UrlAuth.AWS_IAM:
        # The signature is between the caller and the platform: the function could replay it.
        headers.pop("authorization", None)
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = f"{before}, {call.source_ip}" if before else call.source_ip
    headers.setdefault("x-forwarded-proto", call.scheme)
    headers.setdefault("x-forwarded-port", str(call.port))
    headers.setdefault("x-amzn-trace-id", _trace_id(call))
    return headers


def _trace_id(call: UrlCall) -> str:
    """X-Ray's form: Root=1-<seconds, 8 hex>-<96 bits, 24 hex>."""
    return f"Root=1-{int(call.now_ms) // 1000:08x}-{call.request_id.replace('-', '')[:24]}"


def _request_context(call: UrlCall) -> dict[str, object]:
    url_id = call.url.url_id
    context: dict[str, object] = {
        "accountId": call.caller.account_id if call.caller else "anonymous",
        "apiId": url_id,
        "domainName": f"{url_id}.lambda-url.{REGION}.localhost",
        "domainPrefix": url_id,
        "http": {
            "method": call.method,
            "path": call.raw_path,
            "protocol": call.protocol,
            "sourceIp": call.source_ip,
            "userAgent": call.headers.get("user-agent", ""),
        },
        "requestId": call.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": _time_text(call.now_ms),
        "timeEpoch": int(call.now_ms),
    }
    if call.caller:
        context["authorizer"] = {
            "iam": {
                "accessKey": call.caller.access_key_id,
                "accountId": call.caller.account_id,
                "callerId": call.caller.access_key_id,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": call.caller.arn,
                "userId": call.caller.access_key_id,
            }
        }
    return context


def _time_text(now_ms: float) -> str:
    """As in 12/Mar/2020:19:03:58 +0000; strftime would follow the locale."""
    t = datetime.fromtimestamp(int(now_ms) // 1000, UTC)
    return (
        f"{t.day:02}/{_MONTHS[t.month - 1]}/{t.year}:{t.hour:02}:{t.minute:02}:{t.second:02} +0000"
    )


def _query_parameters(query_string: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query_string, keep_blank_values=True)[:_FORM_ITEMS_MAX]:
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


# The reply


class _Unusable(Exception):
    """A function's answer that is no HTTP reply; its text goes into the function's log."""


def _failed(problem: str) -> UrlReply:
    return UrlReply(502, [(b"content-type", b"text/plain")], b"Internal Server Error", problem)


def _explicit(answer: Mapping[str, object]) -> UrlReply:
    """A reply whose function said how it is to be.

    Raises:
        _Unusable: A part of it has the wrong type or form.
    """
    status = _status(answer["statusCode"])
    headers = _reply_headers(answer.get("headers"))
    if not any(name == b"content-type" for name, _ in headers):
        headers.append(_JSON)
    headers += _cookies(answer.get("cookies"))
    body = _reply_body(answer.get("body"), is_base64=answer.get("isBase64Encoded") is True)
    return UrlReply(status, headers, b"" if status in _BODILESS else body)


def _status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Unusable(f"statusCode must be a number, got {value!r:.80}")
    if not _STATUS_MIN <= value <= _STATUS_MAX:
        raise _Unusable(f"statusCode must be {_STATUS_MIN} to {_STATUS_MAX}, got {value}")
    return value


def _reply_headers(value: object) -> list[tuple[bytes, bytes]]:
    if value is None:
        return []
    if not isinstance(value, dict):
        raise _Unusable(f"headers must be an object, got {type(value).__name__}")
    pairs: list[tuple[bytes, bytes]] = []
    for name, content in value.items():
        lower = str(name).lower()
        if lower in _CONNECTION_HEADERS or content is None:
            continue
        if lower in _REMAPPED_HEADERS:
            lower = f"x-amzn-remapped-{lower}"
        pairs.append(_header(lower, content))
    return pairs


def _header(name: str, content: object) -> tuple[bytes, bytes]:
    if not _TOKEN.match(name):
        raise _Unusable(f"a header's name may not be {name!r:.80}")
    match content:
        case bool():
            text = "true" if content else "false"
        case str() | int() | float():
            text = str(content)
        case _:
            raise _Unusable(f"header {name} must be a string, got {type(content).__name__}")
    if _VALUE_BREAKS.search(text):
        raise _Unusable(f"header {name} holds a line break or another control character")
    try:
        return name.encode("ascii"), text.strip().encode("latin-1")
    except UnicodeEncodeError:
        raise _Unusable(f"header {name} holds a character outside Latin-1") from None


def _cookies(value: object) -> list[tuple[bytes, bytes]]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise _Unusable(f"cookies must be a list of strings, got {type(value).__name__}")
    return [_header("set-cookie", one) for one in value]


def _reply_body(value: object, *, is_base64: bool) -> bytes:
    if value is None:
        return b""
    if not isinstance(value, str):
        raise _Unusable(
            f"body must be a string, got {type(value).__name__}: use json.dumps, and base64 with "
            "isBase64Encoded for bytes"
        )
    if not is_base64:
        return value.encode()
    try:
        return base64.b64decode(value)
    except (binascii.Error, ValueError) as error:
        raise _Unusable(f"body is not the base64 that isBase64Encoded says: {error}") from None


# CORS: https://docs.aws.amazon.com/lambda/latest/api/API_Cors.html


def _finish(call: UrlCall, reply: UrlReply) -> UrlReply:
    """Put the URL's Cors configuration in the place of the function's own CORS headers."""
    cors, origin = call.url.cors, call.headers.get("origin")
    if not cors:
        return reply
    headers = [one for one in reply.headers if not one[0].startswith(b"access-control-")]
    if origin is not None:
        headers += _cors_headers(cors, origin)
        if exposed := _strings(cors, "ExposeHeaders"):
            headers.append((b"access-control-expose-headers", _joined(exposed)))
    return UrlReply(reply.status, headers, reply.body, reply.problem)


def _preflight_headers(cors: Mapping[str, object], origin: str) -> list[tuple[bytes, bytes]]:
    headers = _cors_headers(cors, origin)
    if not any(name == b"access-control-allow-origin" for name, _ in headers):
        return headers
    if methods := _strings(cors, "AllowMethods"):
        headers.append((b"access-control-allow-methods", _joined(methods)))
    if allowed := _strings(cors, "AllowHeaders"):
        headers.append((b"access-control-allow-headers", _joined(allowed)))
    age = cors.get("MaxAge")
    if isinstance(age, int):
        headers.append((b"access-control-max-age", b"%d" % age))
    return headers


def _cors_headers(cors: Mapping[str, object], origin: str) -> list[tuple[bytes, bytes]]:
    """Allow-Origin and Allow-Credentials; an origin that is not allowed gets neither.

    The origin is given back as it came, also for "*": browsers refuse "*" with credentials.
    """
    origins = _strings(cors, "AllowOrigins")
    if "*" not in origins and origin not in origins:
        return [(b"vary", b"Origin")]
    headers = [(b"access-control-allow-origin", origin.encode("latin-1")), (b"vary", b"Origin")]
    if cors.get("AllowCredentials") is True:
        headers.append((b"access-control-allow-credentials", b"true"))
    return headers


def _strings(cors: Mapping[str, object], key: str) -> Sequence[str]:
    value = cors.get(key)
    return [str(one) for one in value] if isinstance(value, list | tuple) else ()


def _joined(values: Sequence[str]) -> bytes:
    return ",".join(values).encode("latin-1", "replace")
