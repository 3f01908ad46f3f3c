"""What the story's proof is read from: the topics, and the services' databases."""

from typing import Any

import asyncpg
import orjson
from aiokafka import ConsumerRecord

from deploy.local.demo.system import System
from deploy.local.topics import records_of
from shared.kit.kafka import Kafka


class Evidence:
    """Reads, and changes nothing."""

    def __init__(self, system: System, kafka: Kafka) -> None:
        self._system = system
        self._kafka = kafka

    async def messages(self, topic: str, *, key: str | None = None, kind: str | None = None) -> list[dict[str, Any]]:
        """The bodies on a topic, of one key and type if these are given, in order."""
        found = []
        for record in await records_of(self._kafka, topic):
            if key is not None and record.key != key.encode():
                continue
            if kind is not None and header(record, "ce_type") != kind:
                continue
            found.append(orjson.loads(record.value))
        return found

    async def parked(self, group: str, key: str) -> list[dict[str, str]]:
        """Why and from where each of a group's parked messages of one key was parked."""
        records = await records_of(self._kafka, f"{group}.parked.v1")
        return [
            {name: value.decode() for name, value in record.headers if name.startswith("parked-")}
            for record in records
            if record.key == key.encode()
        ]

    async def rows(self, service: str, query: str, *arguments: object) -> list[dict[str, Any]]:
        """The rows that a query finds in a service's database."""
        connection = await asyncpg.connect(self._system.databases[service], timeout=10, command_timeout=10)
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()


def header(record: "ConsumerRecord[bytes, bytes]", name: str) -> str | None:
    """A header's value as text."""
    return next((value.decode("utf-8", "replace") for key, value in record.headers if key == name), None)
