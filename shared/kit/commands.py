"""Commands: one effect and one reply each, however often they come (P3, P7).

A command is known by client, source and id alone, since a sender that tries again may stamp a new time. Inbox row,
effect and reply are one transaction; a refusal undoes the effect alone.
"""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from sqlalchemy import text

from shared.contracts import CommandAccepted, CommandRejected, Message, Problem

from .received import BadCommand
from .refusals import NotFound, Refused, problem_of
from .subscriber import CommandTaken, Subscriber
from .unit_of_work import UnitOfWork

_FIRST_TIME = text(
    """
    INSERT INTO command_inbox (client_id, source, id)
    SELECT client_id, source, id
    FROM unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[])) AS c(client_id, source, id)
    ORDER BY client_id, source, id
    ON CONFLICT DO NOTHING
    RETURNING client_id, source, id
    """
)

_KEEP_REPLY = text(
    "UPDATE command_inbox SET reply = CAST(:reply AS jsonb) "
    "WHERE client_id = :client_id AND source = :source AND id = :id"
)

_REPLY = text("SELECT reply FROM command_inbox WHERE client_id = :client_id AND source = :source AND id = :id")

_REPLIES: dict[str, type[CommandAccepted] | type[CommandRejected]] = {
    kind.__name__: kind for kind in (CommandAccepted, CommandRejected)
}

Identity = tuple[UUID, str, str]


async def answer_all(work: UnitOfWork, subscriber: Subscriber, commands: Sequence[CommandTaken]) -> None:
    """Do or refuse each of `commands`, in order, and reply to each; repeated ones get the reply that stands."""
    if not commands:
        return
    new = await _first_time(work, commands)
    for command in commands:
        identity = _identity(command)
        if identity in new:
            new.remove(identity)
            reply = await _decide(work, subscriber, command)
            await _keep(work, identity, reply)
        else:
            reply = await _standing_reply(work, identity)
        work.publish(reply, cause=command.cause, message_id=_reply_id(identity))


async def _first_time(work: UnitOfWork, commands: Sequence[CommandTaken]) -> set[Identity]:
    identities = [_identity(command) for command in commands]
    rows = await work.connection.execute(
        _FIRST_TIME,
        {
            "clients": [client for client, _, _ in identities],
            "sources": [source for _, source, _ in identities],
            "ids": [id_ for _, _, id_ in identities],
        },
    )
    return {(row.client_id, row.source, row.id) for row in rows}


async def _decide(work: UnitOfWork, subscriber: Subscriber, command: CommandTaken) -> CommandAccepted | CommandRejected:
    mark = work.mark
    try:
        async with work.connection.begin_nested():
            resource = await _do(work, subscriber, command)
    except Refused as refusal:
        work.rewinds_to(mark)
        return _rejected(command, refusal)
    return CommandAccepted(
        command_id=command.envelope.id, command_type=command.envelope.type, command_key=_key(command), resource=resource
    )


async def _do(work: UnitOfWork, subscriber: Subscriber, command: CommandTaken) -> dict[str, Any] | None:
    if isinstance(command, BadCommand):
        raise command.refusal
    handler = subscriber.command_handlers.get(type(command.body))
    if handler is None:
        msg = f"{command.envelope.type} is not taken here"
        raise NotFound(msg)
    return await handler(work, command)


def _rejected(command: CommandTaken, refusal: Refused) -> CommandRejected:
    problem = problem_of(refusal, instance=f"/commands/{command.envelope.id}", request_id=command.cause.correlation_id)
    return CommandRejected(
        command_id=command.envelope.id,
        command_type=command.envelope.type,
        command_key=_key(command),
        problem=Problem.model_validate(problem),
    )


async def _keep(work: UnitOfWork, identity: Identity, reply: Message) -> None:
    kept = {"type": type(reply).__name__, "body": orjson.loads(reply.model_dump_json())}
    await work.connection.execute(_KEEP_REPLY, {**_named(identity), "reply": orjson.dumps(kept).decode()})


async def _standing_reply(work: UnitOfWork, identity: Identity) -> CommandAccepted | CommandRejected:
    kept = (await work.connection.execute(_REPLY, _named(identity))).scalar_one()
    return _REPLIES[kept["type"]].model_validate_json(orjson.dumps(kept["body"]))


def _named(identity: Identity) -> dict[str, Any]:
    client_id, source, id_ = identity
    return {"client_id": client_id, "source": source, "id": id_}


def _identity(command: CommandTaken) -> Identity:
    return command.envelope.client_id, command.envelope.source, command.envelope.id


def _reply_id(identity: Identity) -> str:
    """The reply's own id: the same for every repetition, so that readers of replies can tell copies."""
    return str(uuid5(NAMESPACE_URL, "/".join(str(part) for part in identity)))


def _key(command: CommandTaken) -> str:
    return (command.record.key or b"").decode()
