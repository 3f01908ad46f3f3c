"""The checks that only we can name, beside all of those that Schemathesis has."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import schemathesis
from schemathesis import CheckContext, HookContext, Response
from schemathesis.core.failures import Failure
from schemathesis.openapi.checks import UseAfterFree

from deploy.local.fuzz.world import world_of_this_run

Case = schemathesis.Case[Any]

#: libraries, modules and files behind the services: what a fault would let out
_BEHIND = re.compile(
    r"(?i)asyncpg|sqlalchemy|psycopg|pydantic|fastapi|starlette|uvicorn|aiokafka|faststream|orjson|joserfc|alembic"
    r"|postgres|sqlstate|traceback|line \d+, in |\.py\b|site-packages"
    r"|services\.|shared\.(kit|contracts)"
)
_SANE_REQUEST_ID = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,126}[\x21-\x7e])?")
_PROBLEM = "application/problem+json"
_LOWEST_ERROR = 400


@cache
def _inside() -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)({'|'.join(map(re.escape, world_of_this_run().inside))})(?!\w)")


def _must(what: str, holds: object) -> None:
    if not holds:
        raise AssertionError(what)


@schemathesis.check
def every_answer_has_its_request_id(_: CheckContext, response: Response, __: Case) -> None:
    """Exactly one, sane; the caller's own where that was sane; and the same in a problem document."""
    ids = response.headers.get("x-request-id", [])
    _must(f"X-Request-Id is there {len(ids)} times", len(ids) == 1)
    _must(f"X-Request-Id is {ids[0]!r}", _SANE_REQUEST_ID.fullmatch(ids[0]))
    sent = response.request.headers.get("X-Request-Id")
    sent = sent.decode("latin-1") if isinstance(sent, bytes) else sent
    if sent is not None and _SANE_REQUEST_ID.fullmatch(sent):
        _must(f"X-Request-Id {sent!r} comes back as {ids[0]!r}", sent == ids[0])
    if response.status_code >= _LOWEST_ERROR and response.content:
        _must("the problem document has the same request id", _problem_in(response).get("request_id") == ids[0])


@schemathesis.check
def every_error_is_a_problem_document(_: CheckContext, response: Response, __: Case) -> None:
    """Its type says so, and what it says of the status is true."""
    if response.status_code < _LOWEST_ERROR or response.request.method == "HEAD":
        return
    media = response.headers.get("content-type")
    _must(f"the error is of type {media}", media == [_PROBLEM])
    status, kind = (_problem_in(response).get(name) for name in ("status", "type"))
    _must(f"the problem is of status {status}", status == response.status_code)
    _must(f"the problem is of type {kind}", str(kind).startswith("/problems/"))


@schemathesis.check
def nothing_inside_is_told(_: CheckContext, response: Response, __: Case) -> None:
    """No header and no body names a library, a module, a table, a column or a constraint."""
    for text in (*_headers_of(response), _without_the_address(response)):
        for words in (_BEHIND, _inside()):
            found = words.search(text)
            _must(f"{found and found[0]!r} stands in {text[:500]!r}", found is None)


def _problem_in(response: Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError as fault:
        raise AssertionError("the error's body is no JSON") from fault
    _must("the error's body is an object", isinstance(problem, dict))
    return dict(problem)


@schemathesis.hook
def filter_failure(_: HookContext, failure: Failure, __: Case, response: Response) -> bool:
    """Keep all failures but one that is none: DELETE of what runs or waits, or of a client, ends it and leaves it.

    What can still be read must then say that it has ended; if it does not, the failure stands.
    """
    return not (isinstance(failure, UseAfterFree) and _has_ended(response.json()))


def _has_ended(shown: dict[str, Any]) -> bool:
    if "data" in shown:
        return all(each.get("status") != "NEW" for each in shown["data"])
    ended_at = any(shown.get(name) is not None for name in ("cancelled_at", "revoked_at"))
    return ended_at or shown.get("state") == "CANCELLED"


def _headers_of(response: Response) -> list[str]:
    return [f"{name}: {value}" for name, values in response.headers.items() for value in values]


def _without_the_address(response: Response) -> str:
    """The body's text, less the address that a problem document repeats from the request."""
    return re.sub(r'"instance":\s*"[^"]*"', "", response.content.decode("utf-8", "replace"))
