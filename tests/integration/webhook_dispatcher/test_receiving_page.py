"""The page for subscribers: its programs receive what is really sent, and its functions verify it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from services.webhook_dispatcher.domain import signed_headers
from shared.contracts import new_id
from tests.conftest import eventually
from tests.docs.documents import REPOSITORY, blocks
from tests.docs.test_integrating import fits
from tests.node import SECONDS, node_or_skip, with_packages
from tests.unit.webhook_dispatcher.messages import order_placed

from .asking import Asker
from .receiver import Receiver
from .test_delivery import arrived
from .test_signatures import rotated
from .world import World

PAGE = REPOSITORY / "docs" / "receiving-webhooks.md"
PROJECT = REPOSITORY / "docs" / "receiving" / "node"
SHOWN = [block.text for block in blocks(PAGE)]
BODY, RECEIVER, RECEIVER_IN_NODE, BY_KEY, BY_KEY_IN_NODE = SHOWN

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture
def in_node(tmp_path: Path) -> Path:
    node_or_skip()
    return with_packages(PROJECT, tmp_path)


@asynccontextmanager
async def running(command: list[str], secret: str, port: int) -> AsyncIterator[asyncio.StreamReader]:
    """A receiver of the page; what it prints."""
    own = {"PORT": str(port), "SECRETS": secret}
    process = await asyncio.create_subprocess_exec(
        *command, env={**os.environ, **own}, stdout=asyncio.subprocess.PIPE, limit=2**20
    )
    try:
        await eventually(lambda: listening(port))
        assert process.stdout is not None
        yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True


async def takes_what_is_sent(asker: Asker, world: World, command: list[str]) -> None:
    """Each event once, from the first secret through a rotation; nothing that is not signed."""
    [port] = free_ports(1)
    url = f"http://{LOOPBACK}:{port}/hooks"
    made = await asker.subscribed(url)
    async with running(command, made["secret"], port) as said, world.sending(), aiohttp.ClientSession() as session:
        await asker.in_state(await asker.tested(made), "DELIVERED")
        assert (await said.readline()).startswith(b"WEBHOOK.TEST ")
        await rotated(asker, made)
        await asker.in_state(await asker.tested(made), "DELIVERED")
        assert (await said.readline()).startswith(b"WEBHOOK.TEST "), "the former secret signs as well"

        body = json.dumps({"payload": [{"type": "COPY", "id": "1", "object": {}}]}).encode()
        signed = signed_headers(made["secret"], f"msg_{new_id().hex}", int(time()), body)
        for sent, headers, answer in ((body, signed, 204), (body, signed, 204), (body + b" ", signed, 401)):
            async with session.post(url, data=sent, headers=headers) as response:
                assert response.status == answer
        await asker.in_state(await asker.tested(made), "DELIVERED")
        assert [(await said.readline()).split()[0] for _ in range(2)] == [b"COPY", b"WEBHOOK.TEST"]


async def test_the_receiver_in_python_takes_what_is_signed_and_takes_it_once(
    asker: Asker, world: World, tmp_path: Path
) -> None:
    program = tmp_path / "receiver.py"
    program.write_text(RECEIVER)
    await takes_what_is_sent(asker, world, [sys.executable, str(program)])


async def test_the_receiver_in_javascript_takes_what_is_signed_and_takes_it_once(
    asker: Asker, world: World, in_node: Path
) -> None:
    program = in_node / "receiver.mjs"
    program.write_text(RECEIVER_IN_NODE)
    await takes_what_is_sent(asker, world, [node_or_skip(), str(program)])


async def test_the_body_is_as_the_page_shows_it_and_the_public_key_verifies_it_in_both_languages(
    asker: Asker, world: World, receiver: Receiver, in_node: Path
) -> None:
    made = await asker.subscribed(receiver.url, config={"signature": ["v1", "v1a"]})
    async with world.sending():
        await world.happened(order_placed(uuid4()))
        await arrived(receiver, 1)
    (sent,) = receiver.sent
    assert fits(json.loads(BODY), sent.verified(made["secret"])), sent.body
    assert sent.headers["user-agent"] == "portfolio-bus-webhooks/1"

    python: dict[str, Any] = {}
    exec(BY_KEY, python)  # noqa: S102 -- the page's own function
    (in_node / "verify.mjs").write_text(BY_KEY_IN_NODE)
    for body, signed in ((sent.body, True), (sent.body + b" ", False)):
        assert python["is_signed"](made["public_key"], body, sent.headers) is signed
        assert is_signed_in_node(in_node, made["public_key"], body, sent.headers) is signed


def is_signed_in_node(project: Path, public_key: str, body: bytes, headers: dict[str, str]) -> bool:
    asked = json.dumps([public_key, body.decode(), headers])
    script = (
        f"import {{ isSigned }} from './verify.mjs'; const [key, body, headers] = {asked};"
        "console.log(isSigned(key, Buffer.from(body), headers));"
    )
    command = [node_or_skip(), "--input-type=module", "--eval", script]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip() == "true"
