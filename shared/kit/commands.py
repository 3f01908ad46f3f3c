"""Commands: one effect and one reply each, however often they come (P3, P7).

A command is known by client, source and id alone, since a sender that tries again may stamp a new time. Inbox row,
effect and reply are one transaction; a refusal undoes the effect alone.
"""

from collections.abc import Sequence
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from sqlalchemy import text

from shared.contracts import CommandAccepted, CommandRejected, Problem

from .received import BadCommand, Received
from .refusals import NotFound, Refused, problem_of
from .subscriber import CommandTaken, Subscriber
from .unit_of_work import UnitOfWork

_FIRST_TIME = text(
    """
    INSERT INTO command_inbox (client_id, source, id, reply)
    SELECT client_id, source, id, reply
    FROM unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:replies AS jsonb[]))
         AS c(client_id, source, id, reply)
    ORDER BY client_id, source, id
    ON CONFLICT DO NOTHING
    RETURNING client_id, source, id
    """
)

_KEEP = text(
    """
    UPDATE command_inbox AS kept SET reply = c.reply
    FROM unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:replies AS jsonb[]))
         AS c(client_id, source, id, reply)
    WHERE (kept.client_id, kept.source, kept.id) = (c.client_id, c.source, c.id)
    """
)

_STANDING = text(
    """
    SELECT client_id, source, id, kept.reply
    FROM unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[])) AS c(client_id, source, id)
    JOIN command_inbox AS kept USING (client_id, source, id)
    """
)

_REPLIES: dict[str, type[CommandAccepted] | type[CommandRejected]] = {
    kind.__name__: kind for kind in (CommandAccepted, CommandRejected)
}

Identity = tuple[UUID, str, str]
#: a client's own view of a key: what another client does to it changes nothing of what this one may do
Key = tuple[UUID, bytes | None]
Replies = dict[Identity, CommandAccepted | CommandRejected]


async def answer_all(work: UnitOfWork, subscriber: Subscriber, commands: Sequence[CommandTaken]) -> int:
    """Do or refuse each of `commands`, in order, and reply to each; repeated ones get the reply that stands.

    What the subscriber foresees to be refused costs no statement of its own: a flood of such commands is refused at the
    price of a few statements for a whole batch, so that it holds up nobody else's for long.

    Answers how many of them are refused.
    """
    if not commands:
        return 0
    # Of commands with one identity the first counts; the others are its repetitions, whatever they ask for.
    first: dict[Identity, CommandTaken] = {}
    for command in commands:
        first.setdefault(_identity(command), command)
    foreseen = await _foreseen(work, subscriber, list(first.values()))
    new = await _first_time(work, list(first), foreseen)
    known = {identity: reply for identity, reply in foreseen.items() if identity in new}
    known |= await _standing(work, [identity for identity in first if identity not in new])
    decided: Replies = {}
    touched = set[Key]()
    for position, command in enumerate(commands):
        identity, key = _identity(command), _key(command)
        if identity not in known and key in touched:
            # Things have changed since they were looked at. They are looked at anew for all that is left, so that it is
            # the commands which are carried out that cost statements, and never those which are refused.
            left = {other: first[other] for other in map(_identity, commands[position:]) if other not in known}
            anew = await _foreseen(work, subscriber, list(left.values()))
            decided |= anew
            known |= anew
            touched.clear()
        if identity not in known:
            known[identity] = decided[identity] = await _decide(work, subscriber, command)
            touched.add(key)
        work.publish(known[identity], cause=command.cause, message_id=_reply_id(identity))
    await _keep(work, decided)
    return sum(isinstance(known[_identity(command)], CommandRejected) for command in commands)


async def _foreseen(work: UnitOfWork, subscriber: Subscriber, commands: Sequence[CommandTaken]) -> Replies:
    """The replies to those of `commands` that are refused whatever becomes of the others."""
    understood = [command for command in commands if isinstance(command, Received)]
    refusals = await subscriber.foresees(work, understood) if understood else ()
    foreseen = dict(zip(map(_identity, understood), refusals, strict=True))
    replies: Replies = {}
    touched = set[Key]()
    for command in commands:
        identity, key = _identity(command), _key(command)
        # What is done to a key changes what may be done to it next: from then on, each command is decided in its turn.
        refusal = command.refusal if isinstance(command, BadCommand) else None if key in touched else foreseen[identity]
        if refusal is None:
            touched.add(key)
        else:
            replies[identity] = _rejected(command, refusal)
    return replies


async def _first_time(work: UnitOfWork, identities: Sequence[Identity], foreseen: Replies) -> set[Identity]:
    kept = [_as_kept(foreseen[identity]) if identity in foreseen else None for identity in identities]
    rows = await work.connection.execute(_FIRST_TIME, {**_columns(identities), "replies": kept})
    return {(row.client_id, row.source, row.id) for row in rows}


async def _standing(work: UnitOfWork, identities: Sequence[Identity]) -> Replies:
    if not identities:
        return {}
    rows = await work.connection.execute(_STANDING, _columns(identities))
    return {
        (row.client_id, row.source, row.id): _REPLIES[row.reply["type"]].model_validate_json(
            orjson.dumps(row.reply["body"])
        )
        for row in rows
    }


async def _decide(work: UnitOfWork, subscriber: Subscriber, command: CommandTaken) -> CommandAccepted | CommandRejected:
    mark = work.mark
    try:
        async with work.connection.begin_nested():
            resource = await _do(work, subscriber, command)
    except Refused as refusal:
        work.rewinds_to(mark)
        return _rejected(command, refusal)
    return CommandAccepted(**_answered(command), resource=resource)


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
    return CommandRejected(**_answered(command), problem=Problem.model_validate(_without_nul(problem)))


def _without_nul(told: Any) -> Any:  # noqa: ANN401 - JSON is of any type
    # A refusal may name what the sender has called a field, and a name with NUL could be neither kept nor told.
    match told:
        case str():
            return told.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case dict():
            return {name: _without_nul(inner) for name, inner in told.items()}
        case list():
            return [_without_nul(inner) for inner in told]
        case _:
            return told


def _answered(command: CommandTaken) -> dict[str, str]:
    """Which command a reply answers."""
    envelope = command.envelope
    return {
        "command_id": envelope.id,
        "command_type": envelope.type,
        "command_key": _key_text(command),
        "command_source": envelope.source,
    }


async def _keep(work: UnitOfWork, decided: Replies) -> None:
    if decided:
        kept = [_as_kept(reply) for reply in decided.values()]
        await work.connection.execute(_KEEP, {**_columns(list(decided)), "replies": kept})


def _as_kept(reply: CommandAccepted | CommandRejected) -> str:
    return f'{{"type": "{type(reply).__name__}", "body": {reply.model_dump_json()}}}'


def _columns(identities: Sequence[Identity]) -> dict[str, Any]:
    return {
        "clients": [client_id for client_id, _, _ in identities],
        "sources": [source for _, source, _ in identities],
        "ids": [id_ for _, _, id_ in identities],
    }


def _identity(command: CommandTaken) -> Identity:
    return command.envelope.client_id, command.envelope.source, command.envelope.id


def _reply_id(identity: Identity) -> str:
    """The reply's own id: the same for every repetition, so that readers of replies can tell copies."""
    client_id, source, id_ = identity
    # The last slash parts source and id, whatever stands in either of them.
    return str(uuid5(NAMESPACE_URL, f"{client_id}/{source}/{id_.replace('%', '%25').replace('/', '%2F')}"))


def _key(command: CommandTaken) -> Key:
    return command.envelope.client_id, command.record.key


def _key_text(command: CommandTaken) -> str:
    return (command.record.key or b"").decode()
