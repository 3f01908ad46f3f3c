"""Every request leaves one line, with what is needed to find it again and nothing of what it carried."""

from typing import Any
from uuid import UUID

import aiohttp
import pytest
from structlog.testing import capture_logs

from shared.kit.auth import TokenIssuer

ID = "0190d0a0-0000-7000-8000-000000000001"
CLIENT = UUID("0190d0a0-0000-7000-8000-00000000000c")


async def test_a_request_is_one_line_with_its_route_and_client_and_without_its_content(
    ask: Any,
    issuer: TokenIssuer,
) -> None:
    token = issuer.issue(CLIENT, ["accounts:admin"])
    with capture_logs() as lines:
        body = {"allocation_id": ID, "name": "hunter2"}
        await ask("POST", "/mine?x=hunter2", json=body, headers={"Authorization": f"Bearer {token}"})
    (line,) = lines
    assert line.pop("ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "route": "/mine",
        "status": 201,
        "client_id": str(CLIENT),
    }


@pytest.mark.parametrize(
    ("path", "route", "status"),
    [(f"/things/{ID}", "/things/{thing_id}", 200), ("/things/x", "/things/{thing_id}", 400), ("/no", "unmatched", 404)],
)
async def test_the_line_has_the_template_of_the_whole_route(ask: Any, path: str, route: str, status: int) -> None:
    with capture_logs() as lines:
        await ask("GET", path)
    (line,) = lines
    assert (line["route"], line["status"], line["client_id"]) == (route, status, None)


async def test_a_fault_leaves_its_traceback_and_its_line(ask: Any) -> None:
    with capture_logs() as lines:
        await ask("GET", "/fails/unexpectedly")
    assert [(line["event"], line["log_level"]) for line in lines] == [("unexpected", "error"), ("request", "info")]
    assert isinstance(lines[0]["exc_info"], RuntimeError)


async def test_an_answer_that_fails_half_way_is_cut_off_and_told(ask: Any) -> None:
    with capture_logs() as lines, pytest.raises(aiohttp.ClientError):
        async with ask.session.get(f"{ask.base_url}/half") as response:
            await response.read()
    assert [line["event"] for line in lines] == ["unexpected", "request"]


async def test_probes_are_only_worth_a_line_when_debugging(ask: Any) -> None:
    with capture_logs() as lines:
        await ask("GET", "/health/live")
    assert [line["log_level"] for line in lines] == ["debug"]
