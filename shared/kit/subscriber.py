"""What a service wants to hear: one subscriber per consumer group, its topics, and a function per kind of message.

A hot group takes batches: the messages of a batch are handed on in as few calls as the order per key allows.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.contracts import Command, Message, Topic, redrive_topic

from .received import BadCommand, LostKey, Received
from .refusals import Refused
from .unit_of_work import UnitOfWork

#: events that will not be done, each with the reason
RefusedEvents = Sequence[tuple[Received[Any], Refused]]
#: Takes messages of its types in order; one transaction holds them all. It may answer those that it refuses and has
#: done nothing with: they are parked, and their neighbours take effect. One that it raises for is looked for among all.
EventHandler = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[RefusedEvents | None]]
#: takes one command; answers the resource for the reply, or raises Refused
CommandHandler = Callable[[UnitOfWork, Received[Any]], Awaitable[dict[str, Any] | None]]
#: locks the rows of the keys that a batch will write events for, in the order that everybody keeps
Locks = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[None]]
#: shuts the keys whose copy can no longer be trusted
Quarantine = Callable[[UnitOfWork, Sequence[LostKey]], Awaitable[None]]
#: waits, before the transaction, for whatever the batch's decisions will rest on
Before = Callable[[Sequence[Received[Any]]], Awaitable[None]]
#: tells, in a handful of statements for a whole batch, which commands are refused on what the locks have shown: one
#: entry for each, None where the command must be decided in its turn. It takes for granted that nothing was done to the
#: command's key before, and writes nothing.
Foresees = Callable[[UnitOfWork, Sequence[Received[Any]]], Awaitable[Sequence[Refused | None]]]


async def _nothing_to_lock(_: UnitOfWork, __: Sequence[Received[Any]]) -> None:
    """For groups that write no events."""


async def _nothing_to_wait_for(_: Sequence[Received[Any]]) -> None:
    """For groups that decide on their own rows alone."""


async def _nothing_to_foresee(_: UnitOfWork, commands: Sequence[Received[Any]]) -> Sequence[Refused | None]:
    """For groups whose commands are all decided in their turn."""
    return [None] * len(commands)


@dataclass
class Subscriber:
    """One consumer group of a service: `<service>.<group>`."""

    group: str
    topics: Sequence[Topic]
    #: copies of other services' state: applied by revision, never parked from impatience
    keeps_copies: bool = False
    #: attempts at a message whose handling fails before it is parked
    patience: int = 6
    locks: Locks = _nothing_to_lock
    before: Before = _nothing_to_wait_for
    foresees: Foresees = _nothing_to_foresee
    quarantine: Quarantine | None = None
    handlers: dict[type[Message], EventHandler] = field(default_factory=dict)
    command_handlers: dict[type[Command], CommandHandler] = field(default_factory=dict)

    @property
    def all_topics(self) -> list[Topic]:
        """Its topics, and the one that brings its parked messages back."""
        return [*self.topics, redrive_topic(self.group)]

    def on(self, *types: type[Message]) -> Callable[[EventHandler], EventHandler]:
        """Hand messages of `types`, and of types derived from them, to the decorated function."""

        def register(handler: EventHandler) -> EventHandler:
            self.handlers.update(dict.fromkeys(types, handler))
            return handler

        return register

    def on_command(self, kind: type[Command]) -> Callable[[CommandHandler], CommandHandler]:
        """Hand commands of `kind` to the decorated function, one at a time."""

        def register(handler: CommandHandler) -> CommandHandler:
            self.command_handlers[kind] = handler
            return handler

        return register

    def handler_of(self, kind: type[Message]) -> EventHandler | None:
        """Who takes messages of `kind`: its handler, or that of the nearest type it derives from."""
        return next((self.handlers[each] for each in kind.__mro__ if each in self.handlers), None)

    def in_turns(self, received: Sequence[Received[Any]]) -> list["Turn"]:
        """`received` as few calls of handlers as possible, no message before an earlier one of its key."""
        handlers = {kind: self.handler_of(kind) for kind in {type(each.body) for each in received}}
        alone = next(iter(handlers.values()), None)
        if alone is not None and all(handler is alone for handler in handlers.values()):
            return [Turn(alone, list(received))]
        turns: list[Turn] = []
        last_turn_of: dict[str, int] = {}
        for each in received:
            handler = handlers[type(each.body)]
            if handler is None:
                continue
            key = each.body.key
            earliest = last_turn_of.get(key, 0)
            position = next((n for n in range(earliest, len(turns)) if turns[n].handler is handler), len(turns))
            if position == len(turns):
                turns.append(Turn(handler))
            turns[position].messages.append(each)
            last_turn_of[key] = position
        return turns


@dataclass
class Turn:
    """One call of one handler."""

    handler: EventHandler
    messages: list[Received[Any]] = field(default_factory=list)


CommandTaken = Received[Any] | BadCommand
