"""A Kafka that takes connections and says nothing does not keep the command line for ever."""

import asyncio

import pytest

from deploy.local.ports import LOOPBACK
from services.ops_console.use_cases import groups
from shared.kit.kafka import Kafka


async def test_a_look_at_groups_ends_although_kafka_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(says_nothing, LOOPBACK, 0)
    monkeypatch.setattr(groups, "_ANSWERED_WITHIN", 0.2)
    async with server, asyncio.timeout(10):
        kafka = Kafka(f"{LOOPBACK}:{server.sockets[0].getsockname()[1]}", client_id="test")
        with pytest.raises(TimeoutError):
            await groups.groups_seen(kafka, window=0)
    assert len(asked) >= 2, "another client has asked again"
