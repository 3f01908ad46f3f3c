"""Secrets can be tried a bounded number of times a minute, whichever client id is presented."""

from uuid import uuid4

import aiohttp

from .callers import Answer, Caller
from .conftest import NewCaller

#: the default of PORTFOLIO_BUS_TOKEN_GUESSES
ALLOWED = 60
#: Tries in which it must have ended: a token comes back every second meanwhile.
MOST = 400


async def _tried_until_refused(caller: Caller, *spellings: str) -> tuple[int, Answer]:
    """How many wrong secrets were looked at, and the answer to the first that was not."""
    for number in range(MOST):
        answer = await caller.token(client_id=spellings[number % len(spellings)], client_secret="wrong")
        if answer.status != 401:
            return number, answer
    raise AssertionError("secrets can be tried without end")


async def test_wrong_secrets_are_429_after_a_while_however_the_id_is_spelled(
    caller: Caller, new_caller: NewCaller
) -> None:
    id_ = caller.credentials.client_id
    tried, refused = await _tried_until_refused(caller, id_, id_.upper(), f"{{{id_}}}", f"urn:uuid:{id_}")
    assert tried >= ALLOWED
    assert refused.status == 429
    assert refused.body["type"] == "/problems/too_many_requests"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert (await new_caller()).headers, "other clients do not notice"


async def test_an_invented_id_is_answered_as_a_known_one_is(session: aiohttp.ClientSession, caller: Caller) -> None:
    invented = Caller(session, type(caller.credentials)(str(uuid4()), "x"))
    tried, refused = await _tried_until_refused(invented, invented.credentials.client_id)
    assert tried >= ALLOWED
    assert refused.status == 429


async def test_the_right_secret_may_be_shown_as_often_as_one_likes(caller: Caller) -> None:
    assert {(await caller.token()).status for _ in range(2 * ALLOWED)} == {200}
