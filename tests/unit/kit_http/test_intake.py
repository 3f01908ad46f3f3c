"""What is let in, and what is turned away before anything is done with it."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

ID = "0190d0a0-0000-7000-8000-000000000001"
MEBIBYTE = 1024 * 1024
JSON = {"Content-Type": "application/json"}


def a_body_of(size: int) -> bytes:
    start, end = f'{{"allocation_id": "{ID}", "name": "'.encode(), b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


async def _in_chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


async def test_a_body_of_one_mebibyte_is_taken(ask: Any) -> None:
    assert (await ask("POST", "/things", data=a_body_of(MEBIBYTE), headers=JSON)).status == 201


async def test_a_larger_body_is_413(ask: Any) -> None:
    reply = await ask("POST", "/things", data=io.BytesIO(a_body_of(MEBIBYTE + 1)), headers=JSON)
    assert reply.is_problem("payload_too_large", 413)


async def test_a_chunked_body_is_taken_up_to_the_limit_and_cut_off_above_it(ask: Any) -> None:
    taken = await ask("POST", "/things", data=_in_chunks(a_body_of(MEBIBYTE)), headers=JSON)
    refused = await ask("POST", "/things", data=_in_chunks(a_body_of(3 * MEBIBYTE)), headers=JSON)
    assert taken.status == 201
    assert refused.is_problem("payload_too_large", 413)


async def test_a_body_that_does_not_arrive_in_time_is_408(base_url: str) -> None:
    reader, writer = await asyncio.open_connection(urlsplit(base_url).hostname, urlsplit(base_url).port)
    writer.write(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
        rest = await reader.readuntil(b"}")
    assert b"/problems/request_timeout" in rest
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
        {"Content-Type": ";;="},
    ],
)
async def test_a_body_that_is_not_plain_json_is_415(ask: Any, headers: dict[str, str]) -> None:
    reply = await ask("POST", "/things", data=b"{}", headers=headers, skip_auto_headers=["Content-Type"])
    assert reply.is_problem("unsupported_media_type", 415)


@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON; charset=UTF-8", "application/merge-patch+json"]
)
async def test_json_is_recognised_in_all_its_spellings(ask: Any, kind: str) -> None:
    body = json.dumps({"allocation_id": ID})
    assert (await ask("POST", "/things", data=body, headers={"Content-Type": kind})).status == 201


async def test_forms_are_taken_at_the_token_endpoint_and_nothing_else_is(ask: Any) -> None:
    form = {"grant_type": "client_credentials"}
    assert (await ask("POST", "/auth/token", data=form)).body == form
    assert (await ask("POST", "/auth/token", json=form)).is_problem("unsupported_media_type", 415)
    assert (await ask("POST", "/auth/token")).errors() == {"body.grant_type": "is required"}


async def test_a_route_without_a_body_does_not_mind_the_absence_of_a_content_type(ask: Any) -> None:
    assert (await ask("POST", f"/things/{ID}/pause", skip_auto_headers=["Content-Type"])).status == 204


@pytest.mark.parametrize("path", ["/things/%00", "/fails/%ff", "/nothing/%C0%80", "/things/%ED%A0%80"])
async def test_a_path_that_is_no_text_is_400(ask: Any, path: str) -> None:
    reply = await ask("GET", path)
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == ["path"]


@pytest.mark.parametrize("query", ["name=%00", "name=a%00b", "name=%ff", "%00=1", "name=%ED%A0%80"])
async def test_a_query_that_is_no_text_is_400(ask: Any, query: str) -> None:
    reply = await ask("GET", f"/search?{query}")
    assert reply.is_problem("invalid_request", 400)
    assert list(reply.errors()) == ["query"]


async def test_a_query_of_any_other_text_is_taken(ask: Any) -> None:
    assert (await ask("GET", "/search?name=%C3%A9%20%F0%9F%99%82%25")).body == {"name": "é 🙂%"}


async def test_headers_beyond_all_measure_are_431(ask: Any) -> None:
    headers = {f"X-{number}": "x" * 4000 for number in range(9)}
    assert (await ask("GET", f"/things/{ID}", headers=headers)).is_problem("header_fields_too_large", 431)


@pytest.mark.parametrize("target", [b"/things/\xff", b"/search?name=\xff", b"/things/\x00", b"//", b"http://[/", b"*"])
async def test_raw_bytes_in_the_request_line_never_make_a_server_error(base_url: str, target: bytes) -> None:
    reader, writer = await asyncio.open_connection(urlsplit(base_url).hostname, urlsplit(base_url).port)
    writer.write(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 4")
    writer.close()
    await writer.wait_closed()
