"""S3's errors by S3's names, and what every other error of the platform is called in S3.

    S3Error                  code, status, a usual message, and facts (<Key>, <BucketName>, ...)
    `-- one class per code

The store's errors have S3's codes already; `in_s3_words` names those of the other rooms. A fact
becomes an element of the error document under its name.

Source: "Error responses", Amazon S3 API Reference.
"""

from __future__ import annotations

from typing import ClassVar

from mayfly.model.errors import CallerError, MayflyError


class S3Error(CallerError):
    """An error with S3's code.

    Args:
        message: For a person; S3's usual one where it is left out.
        facts: Further elements of the document: `BucketName="photos"`.
    """

    usual: ClassVar[str] = "We encountered an internal error. Please try again."

    def __init__(self, message: str = "", **facts: str) -> None:
        super().__init__(message or self.usual)
        self.facts = facts


class AccessDenied(S3Error):
    """The key may not do this, or there is no key."""

    code, status, usual = "AccessDenied", 403, "Access Denied"


class AuthorizationHeaderMalformed(S3Error):
    """The signature cannot be read."""

    code, usual = "AuthorizationHeaderMalformed", "The authorization header is malformed"


class SignatureDoesNotMatch(S3Error):
    """The signature is another than ours."""

    code, status = "SignatureDoesNotMatch", 403
    usual = (
        "The request signature we calculated does not match the signature you provided. Check "
        "your key and signing method."
    )


class InvalidAccessKeyId(S3Error):
    """Nobody has this key."""

    code, status = "InvalidAccessKeyId", 403
    usual = "The AWS Access Key Id you provided does not exist in our records."


class RequestTimeTooSkewed(S3Error):
    """Signed too long ago, or in the future."""

    code, status = "RequestTimeTooSkewed", 403
    usual = "The difference between the request time and the current time is too large."


class NoSuchConfiguration(S3Error):
    """The bucket has no such setting; S3 has a code for each.

    Args:
        code: "NoSuchCORSConfiguration", "NoSuchTagSet", ...
    """

    status = 404

    def __init__(self, code: str, message: str, **facts: str) -> None:
        super().__init__(message, **facts)
        self.own_code = code


class InvalidBucketName(S3Error):
    """Not a name that a bucket may have."""

    code, usual = "InvalidBucketName", "The specified bucket is not valid."


class InvalidArgument(S3Error):
    """A header or parameter with a value that it cannot have."""

    code, usual = "InvalidArgument", "Invalid Argument"


class InvalidRequest(S3Error):
    """The request makes no sense as a whole."""

    code, usual = "InvalidRequest", "Invalid Request"


class InvalidDigest(S3Error):
    """Content-MD5 is no MD5."""

    code, usual = "InvalidDigest", "The Content-MD5 you specified was invalid."


class BadDigest(S3Error):
    """A stated digest or checksum is not the body's."""

    code = "BadDigest"
    usual = "The Content-MD5 you specified did not match what we received."


class XAmzContentSHA256Mismatch(S3Error):
    """The signed digest is not the body's."""

    code = "XAmzContentSHA256Mismatch"
    usual = "The provided 'x-amz-content-sha256' header does not match what was computed."


class IncompleteBody(S3Error):
    """The body ended early, or is no chunked one although it says so."""

    code = "IncompleteBody"
    usual = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class MissingContentLength(S3Error):
    """A write has to say how long it is."""

    code, status = "MissingContentLength", 411
    usual = "You must provide the Content-Length HTTP header."


class EntityTooLarge(S3Error):
    """Larger than an object or part may be."""

    code = "EntityTooLarge"
    usual = "Your proposed upload exceeds the maximum allowed size"


class EntityTooSmall(S3Error):
    """A part, or a form's file, is smaller than it may be."""

    code = "EntityTooSmall"
    usual = "Your proposed upload is smaller than the minimum allowed size"


class InvalidPartNumber(S3Error):
    """The object has not so many parts."""

    code, status = "InvalidPartNumber", 416
    usual = "The requested partnumber is not satisfiable"


class InvalidRange(S3Error):
    """The range begins behind the end."""

    code, status, usual = "InvalidRange", 416, "The requested range is not satisfiable"


class InvalidTag(S3Error):
    """A tag that cannot be one."""

    code, usual = "InvalidTag", "The tag provided was not a valid tag."


class KeyTooLong(S3Error):
    """Over 1,024 bytes of UTF-8."""

    code, usual = "KeyTooLongError", "Your key is too long"


class InvalidUri(S3Error):
    """The path is no UTF-8."""

    code, usual = "InvalidURI", "Couldn't parse the specified URI."


class MetadataTooLarge(S3Error):
    """Over 2 KiB of x-amz-meta- headers."""

    code = "MetadataTooLarge"
    usual = "Your metadata headers exceed the maximum allowed metadata size"


class MalformedXml(S3Error):
    """The document is not what the operation takes."""

    code = "MalformedXML"
    usual = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


class MalformedPostRequest(S3Error):
    """The form cannot be read."""

    code = "MalformedPOSTRequest"
    usual = "The body of your POST request is not well-formed multipart/form-data."


class InvalidPolicyDocument(S3Error):
    """A form's policy cannot be read."""

    code = "InvalidPolicyDocument"
    usual = "The content of the form does not meet the conditions specified in the policy document."


class MethodNotAllowed(S3Error):
    """The resource has no such method."""

    code, status = "MethodNotAllowed", 405
    usual = "The specified method is not allowed against this resource."


class PreconditionFailed(S3Error):
    """A condition of the request does not hold."""

    code, status = "PreconditionFailed", 412
    usual = "At least one of the pre-conditions you specified did not hold"


class NotImplementedInS3(S3Error):
    """S3 has it and Mayfly does not."""

    code, status = "NotImplemented", 501
    usual = "A header you provided implies functionality that is not implemented"


_WORDS = {
    "AccessDeniedException": "AccessDenied",
    "InvalidParameterValueException": "InvalidArgument",
    "ServiceException": "InternalError",
    "RequestTooLargeException": "EntityTooLarge",
    "TooManyRequestsException": "SlowDown",
    "SerializationException": "MalformedXML",
}


def in_s3_words(error: MayflyError) -> tuple[str, str]:
    """S3's code of an error, and its message."""
    code = error.own_code if isinstance(error, NoSuchConfiguration) else error.code
    return _WORDS.get(code, code), error.message
