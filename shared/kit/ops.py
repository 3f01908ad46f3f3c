"""What the people who run the system ask of every service over HTTP: its outbox, and its parked messages back.

Whoever may ask sees all clients; what changes something leaves a line in the log that says who asked for it.
"""

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from .auth import Principal, requires
from .backlog import Backlog
from .http import RequestBody, refuses
from .kafka import Kafka
from .logs import get_logger
from .redrive import redrive
from .refusals import NotFound, Unavailable

Reader = Annotated[Principal, Depends(requires("ops:read"))]
Admin = Annotated[Principal, Depends(requires("ops:admin"))]

_GROUP = "order_service.commands"
_REASON = "out_of_patience"

_log = get_logger("ops")


class GroupNotFound(NotFound):
    """The service has no consumer group of this name."""


class OutboxNotSeen(Unavailable):
    """The database did not tell in time how much waits in the outbox."""


class OutboxShown(BaseModel):
    """What waits in the service's outbox."""

    rows: int = Field(
        description="Messages that wait: exact up to a few thousand, an estimate of PostgreSQL's beyond", examples=[0]
    )
    oldest_seconds: float = Field(description="Age of the oldest of them, 0 when there is none", examples=[0.0])


class ParkedToRedrive(RequestBody):
    """Which parked messages are to be sent back; all of them where nothing is named."""

    group: str | None = Field(
        None, min_length=1, max_length=200, description="Only this consumer group's", examples=[_GROUP]
    )
    reason: str | None = Field(
        None, min_length=1, max_length=200, description="Only those parked for this reason", examples=[_REASON]
    )
    parked_id: str | None = Field(
        None,
        min_length=1,
        max_length=600,
        description="Only the one whose header `parked-id` says this",
        examples=[f"{_GROUP}/orders.commands.v1/3/1017"],
    )


class Redriven(BaseModel):
    """What was sent back."""

    redriven: int = Field(description="How many messages", examples=[1])
    groups: dict[str, int] = Field(description="How many to each group", examples=[{_GROUP: 1}])


def ops_routes(backlog: Backlog, kafka: Kafka, groups: Collection[str]) -> APIRouter:
    """The routes under /ops that every service has; `groups` are the service's own."""
    router = APIRouter(prefix="/ops", tags=["ops"])

    @router.get("/outbox", responses=refuses(OutboxNotSeen), summary="Say how much waits in the outbox")
    async def read_outbox(_: Reader) -> OutboxShown:
        await backlog.refresh()
        waiting = backlog.waiting
        if waiting is None:
            raise OutboxNotSeen(retry_after=1.0)
        return OutboxShown(rows=waiting.rows, oldest_seconds=waiting.seconds)

    @router.post(
        "/parked/redrive", responses=refuses(GroupNotFound), summary="Send parked messages back to their group"
    )
    async def redrive_parked(admin: Admin, body: ParkedToRedrive) -> Redriven:
        """Each goes to its group alone; one that was sent back before is sent again, which changes nothing."""
        if body.group is not None and body.group not in groups:
            raise GroupNotFound
        counts: dict[str, int] = {}
        for group in [body.group] if body.group else sorted(groups):
            counts[group] = await redrive(kafka, group, reason=body.reason, parked_id=body.parked_id)
        asked = {**body.model_dump(exclude_none=True), "by": str(admin.client_id)}
        _log.info("parked messages redriven", audit=True, messages=sum(counts.values()), **asked)
        return Redriven(redriven=sum(counts.values()), groups=counts)

    return router
