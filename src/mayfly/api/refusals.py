"""Errors that only AWS's API has: what authentication, parsing and validation refuse.

Codes are spelled as in the JSON protocols; `wire` knows the older ones' names. Messages are AWS's
where it has one, so they keep its capital letters.

    |-- MissingAuthenticationToken     403  no signature at all
    |-- IncompleteSignature            400  a signature that cannot be read
    |-- UnrecognizedClient             403  a key that is not ours
    |-- InvalidSignature               403  wrong, expired or not yet valid
    |-- ValidationFailed               400  a constraint of the model
    |-- MalformedRequest               400  a body that does not fit the model's types
    |-- InvalidRequestContent          400  a body that is no JSON
    |-- UnsupportedMediaType           415
    |-- UnknownOperation               404  no operation has this method and path
    `-- NotImplementedYet              501  an operation of AWS's that Mayfly lacks
"""

from __future__ import annotations

from mayfly.model.errors import CallerError


class MissingAuthenticationToken(CallerError):
    """The request carries no signature."""

    code = "MissingAuthenticationTokenException"
    status = 403

    def __init__(self) -> None:
        super().__init__("Missing Authentication Token")


class IncompleteSignature(CallerError):
    """The signature lacks a part or has one that cannot be read."""

    code = "IncompleteSignatureException"
    status = 400


class UnrecognizedClient(CallerError):
    """The access key or session token is not known."""

    code = "UnrecognizedClientException"
    status = 403

    def __init__(self) -> None:
        super().__init__("The security token included in the request is invalid.")


class InvalidSignature(CallerError):
    """The signature is wrong, or its time is."""

    code = "InvalidSignatureException"
    status = 403


class ValidationFailed(CallerError):
    """A member breaks a constraint of the model."""

    code = "ValidationException"


class MalformedRequest(CallerError):
    """The body does not have the types that the model says."""

    code = "SerializationException"


class InvalidRequestContent(CallerError):
    """The body is not JSON."""

    code = "InvalidRequestContentException"


class UnsupportedMediaType(CallerError):
    """The Content-Type is not one that the operation reads."""

    code = "UnsupportedMediaTypeException"
    status = 415


class UnknownOperation(CallerError):
    """Nothing is at this method and path."""

    code = "UnknownOperationException"
    status = 404


class NotImplementedYet(CallerError):
    """AWS has the operation or the feature; Mayfly does not, yet."""

    code = "NotImplemented"
    status = 501
