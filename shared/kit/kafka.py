"""Kafka as one service of one installation sees it: addresses, physical names, clients with our settings."""

import asyncio
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from .kafka_security import KafkaSecurity
from .producer import FencedProducer

#: what a parked message may need: the original and where it came from
MAX_REQUEST_BYTES = 4 * 1024 * 1024
_TRANSACTION_MS = 10_000
_REQUEST_MS = 5_000

#: as on a developer's machine
_OPEN = KafkaSecurity()


@dataclass(frozen=True)
class Kafka:
    """Where the brokers are and how this installation prefixes its topics and groups."""

    bootstrap: str
    prefix: str = ""
    client_id: str = "portfolio-bus"
    security: KafkaSecurity = _OPEN

    @property
    def for_aiokafka(self) -> dict[str, Any]:
        """What every client of aiokafka is told; raises OSError where a certificate's file is not what it should."""
        return {"bootstrap_servers": self.bootstrap, "client_id": self.client_id, **self.security.for_aiokafka}

    @property
    def for_librdkafka(self) -> dict[str, str]:
        """What every client of librdkafka is told."""
        return {"bootstrap.servers": self.bootstrap, "client.id": self.client_id, **self.security.for_librdkafka}

    def physical(self, name: str) -> str:
        """The name of a topic or group on the broker."""
        return self.prefix + name

    def logical(self, physical: str) -> str:
        """The name of a topic or group in the contract."""
        return physical.removeprefix(self.prefix)

    async def answers(self) -> bool:
        """Whether any of the brokers accepts a connection at this moment."""
        for address in self.bootstrap.split(","):
            host, _, port = address.rpartition(":")
            try:
                async with asyncio.timeout(1):
                    _, writer = await asyncio.open_connection(host, int(port))
            except OSError:
                continue
            writer.close()
            return True
        return False

    def transactional_producer(self, transactional_id: str) -> FencedProducer:
        """A producer whose start fences the one before with the same id."""
        connecting = {**self.for_aiokafka, "request_timeout_ms": _REQUEST_MS}
        return FencedProducer(connecting, self.physical(transactional_id), _TRANSACTION_MS)

    def producer(self, *, max_request_bytes: int = MAX_REQUEST_BYTES) -> AIOKafkaProducer:
        """An idempotent producer for what needs no transaction: parked and redriven messages."""
        return AIOKafkaProducer(
            **self.for_aiokafka,
            enable_idempotence=True,
            request_timeout_ms=_REQUEST_MS,
            max_request_size=max_request_bytes,
            acks="all",
        )

    def admin(self) -> AIOKafkaAdminClient:
        """A client for creating and looking at topics."""
        return AIOKafkaAdminClient(**self.for_aiokafka, request_timeout_ms=_REQUEST_MS)
