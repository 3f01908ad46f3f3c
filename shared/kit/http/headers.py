"""What travels in headers: request ids, the trace context, entity tags, and what the caller accepts."""

import re
from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import Depends, Header
from starlette.exceptions import HTTPException
from starlette.requests import Request

from shared.contracts import new_id
from shared.kit.auth import Principal
from shared.kit.cause import Cause
from shared.kit.refusals import SLUGS, FieldError, InvalidRequest

REQUEST_ID: Final = b"x-request-id"
#: the header, and where a request's state has the context of its own span, if it has one
TRACEPARENT: Final = "traceparent"

RawHeaders = Iterable[tuple[bytes, bytes]]

_SANE_REQUEST_ID = re.compile(rb"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_ETAG = re.compile(r'(?:W/)?"([0-9]{1,18})"')
_IF_MATCH = r'^(\*|(W/)?"[0-9]{1,18}")$'
_OUR_MEDIA_RANGES = ("application/json", "application/*", "*/*")


def header_in(headers: RawHeaders, name: bytes) -> bytes | None:
    """Give the first value of a header (its name in lower case), or None."""
    return next((value for key, value in headers if key == name), None)


def taken_or_made_request_id(headers: RawHeaders) -> str:
    """Take the caller's request id if it is printable ASCII of at most 128 characters, else make one."""
    given = header_in(headers, REQUEST_ID)
    if given is not None and _SANE_REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return str(new_id())


def request_id_of(request: Request) -> str:
    """Give the id of this request, as it is echoed and logged."""
    request_id: str = request.state.request_id
    return request_id


def cause_of(request: Request, principal: Principal) -> Cause:
    """Say why what this request asks for will have happened: it began here, so its id is the correlation id."""
    traceparent = request.scope["state"].get(TRACEPARENT) or request.headers.get(TRACEPARENT, "")
    return Cause(
        client_id=principal.client_id,
        correlation_id=request_id_of(request),
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else None,
    )


def etag_of(revision: int) -> str:
    """Give the entity tag of a resource at a revision, quotes included."""
    return f'"{revision}"'


def revision_in(if_match: str | None) -> int | None:
    """Read the revision that If-Match asks for; None if it asks for none or for any (`*`).

    Raises InvalidRequest for what is no entity tag of ours, so that a condition is never quietly dropped.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _ETAG.fullmatch(if_match.strip())
    if tag is None:
        error = FieldError("header.if-match", "must be one entity tag as it came in ETag")
        raise InvalidRequest(errors=[error])
    return int(tag[1])


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            description=(
                "The ETag of the resource as the caller knows it; it is changed only if it is still that. `*` and no"
                " header at all mean any."
            ),
            json_schema_extra={"pattern": _IF_MATCH},
            examples=['"1"'],
        ),
    ] = None,
) -> int | None:
    return revision_in(if_match)


#: The revision that the caller has in mind, None for any: an argument of routes that change a resource.
ExpectedRevision = Annotated[int | None, Depends(_if_match)]


async def accepts_json(request: Request) -> None:
    """Refuse with 406 a caller whose Accept header rules JSON out; none at all accepts everything."""
    accept = ",".join(request.headers.getlist("accept"))
    if accept.strip() and not _allows_json(accept):
        raise HTTPException(SLUGS["not_acceptable"][0], "Only application/json can be given.")


def _allows_json(accept: str) -> bool:
    qualities = dict(_media_range(part) for part in accept.split(","))
    # The most specific range that fits decides (RFC 9110): `application/json;q=0, */*` rules JSON out.
    return next((qualities[ours] for ours in _OUR_MEDIA_RANGES if ours in qualities), 0.0) > 0


def _media_range(part: str) -> tuple[str, float]:
    media, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
    try:
        return media, float(quality)
    except ValueError:
        return media, 1.0
