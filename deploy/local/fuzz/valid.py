"""What no schema can say of a valid request is made true here, in every phase alike; invalid requests stay as they are.

Schemathesis takes a request for valid if the document allows it. A few of our rules stand between two fields, or
between a request and an answer before it: weights that sum to 1, check digits, a range of dates that is not turned
around, cursors, credentials. Without this such requests would be refused for a reason that is right.
"""

from __future__ import annotations

import itertools
import random
import uuid
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis import HookContext, Response

from deploy.local.fuzz.world import world_of_this_run
from shared.contracts import parse_time

Case = schemathesis.Case[Any]

_TOKENS = "/auth/token"
_ALLOCATIONS = ("/portfolios/allocations", "/portfolios/allocations/{allocation_id}")
_ORDERS = "/portfolios/orders"
_CONFIGURATIONS = "/portfolios/configurations"
_RESENDS = "/deliveries/{delivery_id}/resend"
_RECOVERIES = "/webhooks/{subscription_id}/recover"
_ISINS = ("US0378331005", "DE0007164600", "US5949181045", "GB0002634946", "FR0000131104", "CH0038863350")
_WHOLE = 10**18

#: every so many creating requests keep the key that was drawn, and so meet what was made under it before;
#: not in chains, where what is answered again may have been deleted since
_REPEATED_KEYS = 8
_IN_CHAINS = "stateful"
#: every so many orders and configurations keep the ids that were drawn, and orders the version
_AS_DRAWN = 8
_DEEPEST = 10_000
_LEDGERS_LIMIT = 10

_turns = itertools.count()
#: the query of the newest page that follows another, by path
_next_pages: dict[str, dict[str, str]] = {}


@schemathesis.hook
def before_call(_: HookContext, case: Case, __: dict[str, Any]) -> None:
    """Change a valid request in place, if it needs it."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    turn = next(_turns)
    # Where Schemathesis has no value for a header that may be left out, it sends an empty one and calls that valid.
    for name in [name for name, value in case.headers.items() if value == ""]:
        del case.headers[name]
    repeated = turn % _REPEATED_KEYS == 0 and case.meta.phase.name != _IN_CHAINS
    if "Idempotency-Key" in case.headers and not repeated:
        case.headers["Idempotency-Key"] = _key(turn)
    if case.query:
        case.query = _possible(case.query, _next_pages.get(case.formatted_path))
    if case.path == _RESENDS and turn % _AS_DRAWN:
        # Those that were told of meanwhile wait, since nothing is delivered.
        case.path_parameters = {"delivery_id": _one_of(world_of_this_run().known["delivery_id"], turn)}
    if isinstance(case.body, dict):
        _make_body_possible(case, turn)


def _make_body_possible(case: Case, turn: int) -> None:
    world = world_of_this_run()
    body: Any = _whole_numbers_without_a_point(case.body)
    case.body = body
    if case.path in _ALLOCATIONS and body.get("allocation"):
        body["allocation"] = _summing_to_one(body["allocation"])
    if case.path == _ORDERS and turn % _AS_DRAWN:
        body |= {"account_id": _one_of(world.configured, turn), "configuration_version": None}
    if case.path == _CONFIGURATIONS and case.method == "POST" and turn % _AS_DRAWN:
        free = [account for account in world.known["account_id"] if account not in world.configured]
        # The first allocations are in use, so that nobody can have deleted them.
        body |= {"account_id": _one_of(free, turn), "allocation_id": world.known["allocation_id"][0]}
    if case.path == _RECOVERIES and body.get("until") and parse_time(body["until"]) < parse_time(body["since"]):
        body |= {"since": body["until"], "until": body["since"]}
    if case.path == _TOKENS and turn % 2:
        case.headers.pop("Authorization", None)
        case.body = {"grant_type": "client_credentials", **world.credentials}


def _one_of(ids: list[str], turn: int) -> str:
    return ids[turn % len(ids)]


@schemathesis.hook
def after_call(_: HookContext, case: Case, response: Response) -> None:
    """Remember where the list that was read goes on."""
    if case.method != "GET" or response.status_code != 200 or not response.content:  # noqa: PLR2004
        return
    link = response.headers.get("link", [""])[0]
    if link:
        _next_pages[case.formatted_path] = dict(parse_qsl(urlsplit(link.partition("<")[2].partition(">")[0]).query))
        return
    body = response.json()
    cursor = body.get("meta", {}).get("next_cursor") if isinstance(body, dict) else None
    if cursor:
        sent = dict(parse_qsl(urlsplit(str(response.request.url)).query, keep_blank_values=True))
        _next_pages[case.formatted_path] = {**sent, "cursor": cursor, "offset": "0"}


def _possible(query: dict[str, Any], next_page: dict[str, str] | None) -> dict[str, Any]:
    if query.get("cursor"):
        if next_page is not None:
            return dict(next_page)
        query = {name: value for name, value in query.items() if name != "cursor"}
    start, end = query.get("start_date"), query.get("end_date")
    if isinstance(start, str) and isinstance(end, str) and end < start:
        query = {**query, "start_date": end, "end_date": start}
    if "page" in query:
        deepest = 1 + _DEEPEST // int(query.get("limit") or _LEDGERS_LIMIT)
        query = {**query, "page": min(int(query["page"]), deepest)}
    return query


def _whole_numbers_without_a_point(value: Any) -> Any:  # noqa: ANN401 -- JSON is of any type
    """JSON Schema takes 7.0 for an integer; we read what is written, and take only 7 for one."""
    match value:
        case float():
            return int(value) if value.is_integer() else value
        case dict():
            return {name: _whole_numbers_without_a_point(each) for name, each in value.items()}
        case list():
            return [_whole_numbers_without_a_point(each) for each in value]
        case _:
            return value


def _key(turn: int) -> str:
    bits = random.Random(f"{world_of_this_run().seed} {turn}").getrandbits(128)  # noqa: S311 -- repeatable, no secret
    return str(uuid.UUID(int=bits, version=4))


def _summing_to_one(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same number of instruments, none twice, with check digits that are right and weights that sum to 1."""
    share = _WHOLE // len(items)
    weights = [_WHOLE - share * (len(items) - 1), *(share for _ in items[1:])]
    return [
        {**item, **_instrument(number, item), "weight": "1" if weight == _WHOLE else f"0.{weight:018}"}
        for number, (item, weight) in enumerate(zip(items, weights, strict=True))
    ]


def _instrument(number: int, item: dict[str, Any]) -> dict[str, str]:
    if number < len(_ISINS) and item.get("instrument_id_type") == "ISIN":
        return {"instrument_id": _ISINS[number], "instrument_id_type": "ISIN"}
    return {"instrument_id": str(uuid.UUID(int=number + 1)), "instrument_id_type": "UUID"}
