"""Whatever an endpoint does: an outcome is recorded within the deadline, in bounded memory, beside the others."""

import asyncio
import socket
import ssl
import tracemalloc
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from services.webhook_dispatcher.clients import Sender, guarded_connector
from services.webhook_dispatcher.domain import AddressRule, Outcome, check_url
from tests.conftest import eventually

from .receiver import Receiver
from .rude import Behaviour, bomb, certified, repeats, resets_after, rude, says, says_after
from .test_delivery import arrived
from .world import World

OK = b"HTTP/1.1 200 OK\r\n"
MIB = 2**20

BEHAVIOURS: dict[str, tuple[Behaviour, str, int | None]] = {
    "endless headers": (repeats(OK, b"x-again: and again\r\n" * 500), "INVALID_ANSWER", None),
    "one endless header": (repeats(OK + b"x-again: ", b"and again " * 500), "INVALID_ANSWER", None),
    "a header, a byte at a time": (repeats(OK + b"x-slow: ", b"x", 0.2), "TIMED_OUT", None),
    "an endless body": (repeats(OK + b"\r\n", b"x" * 10_000), "DELIVERED", 200),
    "endless chunks": (repeats(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"3\r\nabc\r\n"), "DELIVERED", 200),
    "a body, a byte at a time": (repeats(OK + b"Content-Length: 1000\r\n\r\n", b"x", 0.2), "DELIVERED", 200),
    "a failure's body, a byte at a time": (
        repeats(b"HTTP/1.1 500 Oh\r\nContent-Length: 1000\r\n\r\n", b"x", 0.2),
        "REJECTED",
        500,
    ),
    "not HTTP": (says(b"220 smtp.example.com ESMTP\r\n\r\n"), "INVALID_ANSWER", None),
    "no status": (says(b"HTTP/1.1 banana\r\n\r\n"), "INVALID_ANSWER", None),
    "two lengths": (says(OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), "INVALID_ANSWER", None),
    "nothing": (says(b""), "BROKEN_OFF", None),
    "a reset at once": (resets_after(b""), "BROKEN_OFF", None),
    "a reset in the headers": (resets_after(OK + b"x-half"), "BROKEN_OFF", None),
    "a reset in the body": (resets_after(OK + b"Content-Length: 1000\r\n\r\nabc"), "DELIVERED", 200),
    "a compressed bomb": (says(bomb()), "DELIVERED", 200),
    "continue first": (says(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"), "DELIVERED", 200),
    "continue for ever": (repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05), "TIMED_OUT", None),
    "a redirect to a private address": (
        says(b"HTTP/1.1 307 Go\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"),
        "REJECTED",
        307,
    ),
    "connection: close": (says(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"), "DELIVERED", 200),
    "an answer after the deadline": (says_after(3.0, OK + b"Content-Length: 0\r\n\r\n"), "TIMED_OUT", None),
    "a switch of protocols": (
        says(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        "REJECTED",
        101,
    ),
}


async def first_attempt(world: World, subscription_id: Any) -> Any:
    found = await world.rows(
        "SELECT attempts.*, extract(epoch FROM finished_at - started_at) AS seconds FROM attempts "
        "JOIN deliveries ON id = delivery_id WHERE subscription_id = :s ORDER BY number LIMIT 1",
        s=subscription_id,
    )
    return found[0] if found else None


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_an_endpoint_that_misbehaves_is_an_outcome_within_the_deadline(
    world: World, receiver: Receiver, name: str
) -> None:
    behaviour, outcome, status = BEHAVIOURS[name]
    neighbour = await world.subscribed(receiver.url)
    async with rude(behaviour) as url:
        subscribed = await world.subscribed(url)
        await world.waiting_for(subscribed.id, 1)
        tracemalloc.start()
        try:
            async with world.dispatching(schedule=[300.0]):
                await world.waiting_for(neighbour.id, 5)
                await arrived(receiver, 5)
                attempt = await eventually(lambda: first_attempt(world, subscribed.id))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (attempt.outcome, attempt.status_code) == (outcome, status)
    assert attempt.seconds < 2.5
    assert len(attempt.response_body or b"") <= 4096
    assert most < 30 * MIB


@pytest.mark.parametrize("fault", ["nobody trusts it", "it is for another host", "it has expired", "none"])
async def test_a_certificate_that_is_wrong_in_any_way_ends_the_attempt(
    world: World, tmp_path: Path, fault: str
) -> None:
    host = "127.0.0.2" if fault == "it is for another host" else "127.0.0.1"
    tls = certified(tmp_path, host, expired=fault == "it has expired")
    trust = (
        None if fault == "nobody trusts it" else ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    )
    async with rude(says(OK + b"Content-Length: 0\r\n\r\n"), tls) as url:
        sender = Sender(partial(guarded_connector, world.rule, trust), timeout=2)
        await sender.open()
        attempt = await sender.post(url, {}, b"{}")
        await sender.close()

    assert attempt.outcome is (Outcome.DELIVERED if fault == "none" else Outcome.TLS_FAILED)


async def test_a_name_that_leads_elsewhere_by_the_time_of_the_connection_is_not_followed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    rule = AddressRule((ip_network("127.0.0.1/32"),))
    url = receiver.url.replace("127.0.0.1", "rebinding.example")
    # It leads to what is allowed when it is looked at first, and then to this machine and to its metadata.
    addresses = ["127.0.0.1", "127.0.0.2", "169.254.169.254"]
    loop = asyncio.get_running_loop()
    usual = loop.getaddrinfo

    async def lookup(host: Any, port: Any, **wanted: Any) -> Any:
        if host != "rebinding.example":
            return await usual(host, port, **wanted)
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (addresses.pop(0), port))]

    monkeypatch.setattr(loop, "getaddrinfo", lookup)
    check_url(url, rule)
    outcomes = []
    for _ in range(3):
        sender = Sender(partial(guarded_connector, rule), timeout=2)
        await sender.open()
        outcomes.append((await sender.post(url, {}, b"{}")).outcome)
        await sender.close()
    assert outcomes == [Outcome.DELIVERED, Outcome.FORBIDDEN_ADDRESS, Outcome.FORBIDDEN_ADDRESS]
    assert (len(receiver.sent), addresses) == (1, []), "a name is looked up once for each connection"


async def test_a_port_that_the_operator_has_not_listed_is_not_dialled(receiver: Receiver) -> None:
    sender = Sender(partial(guarded_connector, AddressRule((ip_network("127.0.0.0/8"),), ((443, 443),))), timeout=2)
    await sender.open()
    attempt = await sender.post(receiver.url, {}, b"{}")
    await sender.close()
    assert attempt.outcome is Outcome.FORBIDDEN_ADDRESS
    assert receiver.sent == []
