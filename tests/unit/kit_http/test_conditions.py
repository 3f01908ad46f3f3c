"""If-Match: a resource is changed only if it is still what its caller knows."""

from typing import Any

import pytest

ID = "0190d0a0-0000-7000-8000-000000000001"


async def put(ask: Any, headers: dict[str, str]) -> Any:
    return await ask("PUT", f"/things/{ID}", json={"allocation_id": ID}, headers=headers)


@pytest.mark.parametrize("headers", [{}, {"If-Match": "*"}, {"If-Match": '"3"'}, {"If-Match": ' W/"3" '}])
async def test_the_known_revision_any_and_none_let_the_change_through(ask: Any, headers: dict[str, str]) -> None:
    assert (await put(ask, headers)).status == 200


@pytest.mark.parametrize("tag", ['"2"', '"4"', '"0"', '"999999999999999999"'])
async def test_another_revision_is_412(ask: Any, tag: str) -> None:
    assert (await put(ask, {"If-Match": tag})).is_problem("precondition_failed", 412)


@pytest.mark.parametrize("tag", ["3", '"x"', '"3", "4"', "", '"-3"', '"1234567890123456789"', '"\u0663"'])
async def test_what_is_no_tag_of_ours_is_400_and_never_taken_for_any(ask: Any, tag: str) -> None:
    reply = await put(ask, {"If-Match": tag})
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == ["header.if-match"]
