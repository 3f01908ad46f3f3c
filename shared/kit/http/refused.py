"""What an operation may be refused for, as its document tells: named next to the route, or derived from what it has."""

import inspect
from typing import Any, Final

from shared.kit.auth.verifier import ExpiredToken, InvalidToken
from shared.kit.refusals import (
    SLUGS,
    Forbidden,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    Refused,
    TooManyRequests,
    Unauthorised,
    Unavailable,
)

from .idempotency import IdempotencyKeyInFlight, IdempotencyKeyReused, MissingIdempotencyKey

#: Where a route's own refusals stand between its declaration and the finished document.
OWN: Final = "x-refusals"
#: As above: that an answer carries an ETag.
TAGGED: Final = "x-etag"

Json = dict[str, Any]


class NotAcceptable(Refused):
    """Only application/json can be given."""

    slug = "not_acceptable"


class RequestTimeout(Refused):
    """The body did not arrive in time."""

    slug = "request_timeout"


class PayloadTooLarge(Refused):
    """The body is too large."""

    slug = "payload_too_large"


class UnsupportedMediaType(Refused):
    """The body is of another media type."""

    slug = "unsupported_media_type"


class HeaderFieldsTooLarge(Refused):
    """The headers are too large."""

    slug = "header_fields_too_large"


class Internal(Refused):
    """The service failed to answer this request."""

    slug = "internal"


ALWAYS: Final = (InvalidRequest, NotAcceptable, HeaderFieldsTooLarge, Internal, Unavailable)
WITH_A_SCOPE: Final = (Unauthorised, InvalidToken, ExpiredToken, Forbidden, TooManyRequests)
WITH_AN_ID: Final = (NotFound,)
WITH_A_BODY: Final = (RequestTimeout, PayloadTooLarge, UnsupportedMediaType)
WITH_A_CONDITION: Final = (PreconditionFailed,)
WITH_A_KEY: Final = (IdempotencyKeyInFlight, IdempotencyKeyReused)
WITH_A_REQUIRED_KEY: Final = (MissingIdempotencyKey,)


def told(kind: type[Refused]) -> dict[str, str]:
    """Give a kind of refusal as plain JSON: its name, its slug and what it says."""
    detail = " ".join((inspect.getdoc(kind) or SLUGS[kind.slug][1]).split())
    return {"name": kind.__name__, "slug": kind.slug, "detail": detail}


def refuses(*kinds: type[Refused], etag: bool = False) -> dict[int | str, Json]:
    """Say what a route refuses besides what every route like it does: for the argument `responses` of its decorator.

    `etag` says that its answer carries an ETag.
    """
    named: dict[int | str, Json] = {}
    for kind in kinds:
        response = named.setdefault(SLUGS[kind.slug][0], {"description": "refused", OWN: []})
        response[OWN].append(told(kind))
    if etag:
        named["default"] = {"description": "tagged", TAGGED: True}
    return named
