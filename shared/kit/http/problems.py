"""Everything that goes wrong on HTTP becomes a problem document here, and only here (RFC 9457)."""

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from http.client import responses
from typing import Any, Final

import orjson
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from shared.kit.faults import is_infrastructure
from shared.kit.logs import get_logger
from shared.kit.refusals import SLUGS, FieldError, InvalidRequest, Refused, Unavailable, problem

log = get_logger(__name__)

_INTERNAL: Final = "internal"
_METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_ERRORS_SHOWN = 20
_LOCATION_SHOWN = 200
_INSTANCE_SHOWN = 500

#: Pydantic's words where ours are plainer; its other messages are shown as they are.
_PLAIN_WORDS: Final = {
    "missing": "is required",
    "extra_forbidden": "is not a known field",
    # pydantic would name the class that reads it.
    "model_type": "must be an object",
}

#: What to say where Starlette only repeats the status.
_STARLETTES_SILENCE: Final = {
    "not_found": "There is nothing at this path.",
    "method_not_allowed": "This path does not know this method.",
}


class ProblemResponse(Response):
    """A problem document on its way out."""

    media_type = "application/problem+json"

    def render(self, content: object) -> bytes:
        """Write the document as JSON."""
        # What a caller sent may stand in it: a lone surrogate must not turn a refusal into a failure.
        try:
            return orjson.dumps(content)
        except TypeError:
            return orjson.dumps(_replacing_surrogates(content))


def problem_for(scope: Scope, fault: Exception) -> ProblemResponse:
    """Translate whatever was raised while a request was answered; what nobody expected is logged and says nothing."""
    if isinstance(fault, Refused):
        return _of_refusal(scope, fault)
    if isinstance(fault, RequestValidationError):
        errors = field_errors(fault.errors())
        return _of_refusal(scope, InvalidRequest(_sentence(errors), errors=errors))
    if isinstance(fault, HTTPException):
        return _of_starlette(scope, fault)
    if is_infrastructure(fault):
        log.warning("unavailable", fault=repr(fault))
        return _of_refusal(scope, Unavailable(retry_after=1.0))
    log.error("unexpected", exc_info=fault)
    return _response(scope, _INTERNAL, "The service failed to answer this request.")


async def answer_with_problem(request: Request, fault: Exception) -> Response:
    """Handle an exception, in the shape in which FastAPI wants its handlers."""
    return problem_for(request.scope, fault)


def field_errors(faults: Sequence[Mapping[str, Any]]) -> list[FieldError]:
    """Name the fields that pydantic found wrong, without the values."""
    return [_field_error(fault) for fault in faults[:_ERRORS_SHOWN]]


def _field_error(fault: Mapping[str, Any]) -> FieldError:
    location = ".".join(str(part) for part in fault["loc"])
    message = _PLAIN_WORDS.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
    return FieldError(location[:_LOCATION_SHOWN], message)


def _sentence(errors: Sequence[FieldError]) -> str:
    shown = "; ".join(f"{error.location}: {error.message}" for error in errors[:3])
    return f"The request is not valid: {shown}{'; …' if len(errors) > 3 else ''}."  # noqa: PLR2004


def _of_refusal(scope: Scope, refused: Refused) -> ProblemResponse:
    headers = {}
    if refused.retry_after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(refused.retry_after)))
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = _challenge(scope)
    return _response(scope, refused.slug, refused.detail, code=refused.code, errors=refused.errors, headers=headers)


def _of_starlette(scope: Scope, fault: HTTPException) -> ProblemResponse:
    slug = _slug_of(fault.status_code)
    headers = dict(fault.headers or {})
    detail = fault.detail
    if detail == responses.get(fault.status_code):
        # Starlette's own details only repeat the status; those of the kit say more.
        detail = _STARLETTES_SILENCE.get(slug, f"{SLUGS[slug][1]}.")
    if fault.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods_at(scope)) or headers.get("Allow", "")
    return _response(scope, slug, detail, headers=headers)


def _slug_of(status: int) -> str:
    slug = next((slug for slug, (code, _) in SLUGS.items() if code == status), None)
    return slug or (_INTERNAL if status >= HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest.slug)


def methods_of_plain_paths(scope: Scope) -> Mapping[str, frozenset[str]]:
    """The methods of every path without a parameter; such a path is never taken for one with an id."""
    methods: Mapping[str, frozenset[str]] = scope["app"].state.methods_of_plain_paths
    return methods


def _methods_at(scope: Scope) -> list[str]:
    plain = methods_of_plain_paths(scope).get(scope["path"])
    if plain is not None:
        return [method for method in _METHODS if method in plain]
    # Starlette names only the methods of the first route that has the path; each of our routes has one method.
    routes = scope["app"].router.routes
    return [
        method
        for method in _METHODS
        if any(route.matches({**scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _response(
    scope: Scope,
    slug: str,
    detail: str,
    *,
    code: str | None = None,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
) -> ProblemResponse:
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    instance = raw.decode("ascii", "replace")[:_INSTANCE_SHOWN]
    request_id = scope["state"]["request_id"]
    document = problem(slug, detail, instance=instance, request_id=request_id, code=code, errors=errors)
    return ProblemResponse(document, status_code=SLUGS[slug][0], headers=headers)


def _challenge(scope: Scope) -> str:
    # RFC 6750: a request without credentials is told the scheme alone, a wrong token that it is wrong.
    sent_credentials = any(name == b"authorization" for name, _ in scope["headers"])
    return 'Bearer realm="portfolio-bus"' + (', error="invalid_token"' if sent_credentials else "")


def _replacing_surrogates(value: object) -> object:
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case dict():
            return {key: _replacing_surrogates(inner) for key, inner in value.items()}
        case list():
            return [_replacing_surrogates(inner) for inner in value]
        case _:
            return value
