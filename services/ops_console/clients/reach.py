"""All that the console reaches, and as whom."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from shared.kit.kafka import Kafka

from .services import Services, Trouble, not_set, session


@dataclass(frozen=True)
class Reach:
    """Where the system is, and the client as which it is looked at; nothing is connected to yet."""

    bus: Kafka | None
    #: base URLs by the names of the services
    urls: Mapping[str, str]
    client_id: str | None
    client_secret: str | None = field(repr=False)

    @property
    def kafka(self) -> Kafka:
        """Kafka; raises Trouble where nobody has said where it is."""
        if self.bus is None:
            raise not_set("kafka")
        return self.bus

    @property
    def client(self) -> UUID:
        """The client, as messages name it; raises Trouble where it is not named, or is no UUID."""
        if self.client_id is None:
            raise not_set("client_id")
        try:
            return UUID(self.client_id)
        except ValueError as fault:
            message = "The client id is no UUID: no message can be sent in its name."
            raise Trouble(message) from fault

    @asynccontextmanager
    async def services(self) -> AsyncIterator[Services]:
        """The services, for the length of the block; raises Trouble where the client or its secret is not named."""
        if self.client_id is None or self.client_secret is None:
            raise not_set("client_id" if self.client_id is None else "client_secret")
        async with session() as opened:
            yield Services(opened, self.urls, self.client_id, self.client_secret)
