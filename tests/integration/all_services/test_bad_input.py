"""Whatever comes in has a stated answer, soon, and none of it reaches a database as an error."""

import asyncio
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from deploy.local.topics import records_of
from shared.contracts import (
    COMMANDS_REPLIES,
    MESSAGES,
    ORDERS_COMMANDS,
    CommandAccepted,
    CommandRejected,
    Envelope,
    Record,
    from_record,
    parked_topic,
    to_headers,
)
from shared.kit.kafka import Kafka
from tests.conftest import eventually

from .bad_input import PARKED, Case, all_cases
from .estates import Estate, World, an_estate, order_body

CASES = all_cases()
COMMANDS = [case for case in CASES if case.command is not None]
#: Seconds within which an answer is there, on a machine that has other things to do; it takes milliseconds.
SOON = 1.0
GROUP = "order_service.commands"
#: the position of a case is its command's id
_ID = re.compile(r"bad-input-(\d+)")


@pytest.fixture(scope="module")
async def estate(world: World) -> Estate:
    return await an_estate(world)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_over_http_it_has_its_stated_answer(case: Case, world: World, estate: Estate) -> None:
    body = case.body(estate) if case.body else None
    content = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    token, path = world.token(estate.client_id), case.path(estate)
    began = time.monotonic()
    answer = await world.ask(case.service, case.method, str(path), token, content, **case.headers)
    assert time.monotonic() - began < SOON
    assert answer.status == case.answer.status, answer.text
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json"
    if case.answer.field:
        assert _bare(case.answer.field) in [_bare(error["location"]) for error in answer.body["errors"]]


def _bare(location: str) -> str:
    return location.removeprefix("body.")


@dataclass(frozen=True)
class OnTheBus:
    """What became of everything that was sent."""

    replies: dict[int, CommandAccepted | CommandRejected]
    parked: Sequence[str]


@pytest.fixture(scope="module")
async def on_the_bus(world: World, estate: Estate) -> OnTheBus:
    """Every body as a command, and every envelope that is wrong, sent at once."""
    prefix = world.system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"]
    kafka = Kafka(world.system.stack.kafka, prefix, client_id="test")
    await _send(kafka, [_as_command(n, case, estate) for n, case in enumerate(COMMANDS)])
    await _send(kafka, [_with_a_wrong_envelope(changed, estate) for _, changed, _ in PARKED])

    async def replies() -> dict[int, CommandAccepted | CommandRejected]:
        found = {}
        for record in await records_of(kafka, COMMANDS_REPLIES.name):
            read = Record(topic=COMMANDS_REPLIES.name, key=record.key, value=record.value, headers=list(record.headers))
            _, message = from_record(read)
            assert isinstance(message, CommandAccepted | CommandRejected)
            if match := _ID.fullmatch(message.command_id):
                found[int(match[1])] = message
        return found if len(found) == len(COMMANDS) else {}

    async def parked() -> list[str]:
        records = await records_of(kafka, parked_topic(GROUP).name)
        reasons = [dict(record.headers)["parked-reason"].decode() for record in records]
        return reasons if len(reasons) == len(PARKED) else []

    return OnTheBus(await eventually(replies, seconds=60, every=0.2), await eventually(parked, seconds=60, every=0.2))


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda n: str(COMMANDS[n]))
async def test_as_a_command_it_has_its_stated_answer(number: int, on_the_bus: OnTheBus) -> None:
    expected, reply = COMMANDS[number].on_the_bus, on_the_bus.replies[number]
    assert expected is not None
    if expected.status < 400:
        assert isinstance(reply, CommandAccepted), reply
        return
    assert isinstance(reply, CommandRejected)
    assert reply.problem.status == expected.status, reply
    if expected.field:
        assert expected.field in [_bare(error.location) for error in reply.problem.errors]


def test_as_a_command_with_a_wrong_envelope_it_is_parked_with_its_reason(on_the_bus: OnTheBus) -> None:
    assert sorted(on_the_bus.parked) == sorted(reason for _, _, reason in PARKED)


async def test_a_body_that_dribbles_in_is_408_at_every_service(world: World, estate: Estate) -> None:
    async def dribbled(url: str, path: str) -> bytes:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", "Content-Length: 900"]
        head += [f"Authorization: Bearer {world.token(estate.client_id)}", f"Idempotency-Key: {uuid4()}", "", "{"]
        writer.write("\r\n".join(head).encode())
        try:
            async with asyncio.timeout(20):
                return await reader.readline()
        finally:
            writer.close()

    paths = {"config_service": "/accounts", "order_service": "/portfolios/orders", "webhook_dispatcher": "/webhooks"}
    answers = await asyncio.gather(*(dribbled(world.system.urls[name], path) for name, path in paths.items()))
    assert [answer.split()[1] for answer in answers] == [b"408"] * 3


@pytest.mark.parametrize(
    "form",
    [
        {"client_id": "a\0b", "client_secret": "x"},
        {"client_id": "\ud800", "client_secret": "x"},
        {"client_id": "{" + str(uuid4()) + "}", "client_secret": "\U0001f642"},
        {"client_id": str(uuid4()), "client_secret": "x" * 200},
        {"client_id": str(uuid4()), "client_secret": "x", "scope": "a\0"},
    ],
    ids=range(5),
)
async def test_credentials_of_any_characters_are_only_wrong(world: World, form: dict[str, str]) -> None:
    content = {"grant_type": "client_credentials", **form}
    encoded = {name: value.encode("utf-8", "surrogatepass").decode("latin-1") for name, value in content.items()}
    url = world.system.urls["config_service"] + "/auth/token"
    async with world.session.post(url, data=encoded) as answer:
        assert answer.status == 401


def test_no_service_has_met_with_an_error_of_its_own(world: World, on_the_bus: OnTheBus) -> None:
    """Last of all: what reaches the database as an error, or is caught by the last net only, is logged as this."""
    assert on_the_bus.replies
    for name in world.system.services:
        lines = (world.system.stack.directory / f"{name}.log").read_text().splitlines()
        told = [json.loads(line) for line in lines if line.startswith("{")]
        assert len(told) > 10, name
        assert [each for each in told if _is_an_error_of_ours(each)] == [], name


def _is_an_error_of_ours(told: dict[str, Any]) -> bool:
    # That something was parked is told as an error, for the people who will look at it; the Kafka client has its own.
    ours = told["event"] != "message parked" and not str(told["logger"]).startswith("aiokafka")
    severe = told["level"] in {"error", "critical"} and ours
    return severe or told["event"] == "unavailable" or str(told["event"]).startswith("batch failed")


def _as_command(number: int, case: Case, estate: Estate) -> Record:
    assert case.body is not None
    assert case.command is not None
    body = case.body(estate)
    value = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
    return Record(
        topic=MESSAGES[case.command].topic.name,
        key=estate.account_id.encode(),
        value=value,
        headers=to_headers(_envelope(f"bad-input-{number}", case.command, estate)),
    )


def _with_a_wrong_envelope(changed: dict[str, Any], estate: Estate) -> Record:
    right = dict(to_headers(_envelope(str(uuid4()), "PlaceOrder", estate)))
    headers = [(name, value) for name, value in (right | changed).items() if value is not None]
    body = str(order_body(estate)).replace("'", '"').encode()
    return Record(topic=ORDERS_COMMANDS.name, key=estate.account_id.encode(), value=body, headers=headers)


def _envelope(id_: str, type_: str, estate: Estate) -> Envelope:
    return Envelope(id=id_, type=type_, source="/upstream", time=datetime.now(UTC), client_id=estate.client_id)


async def _send(kafka: Kafka, records: Sequence[Record]) -> None:
    producer = kafka.producer()
    await producer.start()
    try:
        for record in records:
            await producer.send_and_wait(
                kafka.physical(record.topic), key=record.key, value=record.value, headers=record.headers
            )
    finally:
        await producer.stop()
