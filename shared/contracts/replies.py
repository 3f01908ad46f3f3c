"""The answers to commands: no command is left in silence."""

from typing import ClassVar

from pydantic import Field, JsonValue

from .base import Event, Part
from .topics import COMMANDS_REPLIES, Topic
from .values import Listed, LongText, Name, ShortText, storable

MAX_REPLY_KEY = 256


def reply_key(key: bytes | None) -> str | None:
    """Give a command's key as its reply can carry it; None if it cannot, so that the command has to be parked."""
    try:
        text = storable(key.decode()) if key else ""
    except ValueError:
        return None
    return text if 0 < len(text) <= MAX_REPLY_KEY else None


class FieldError(Part):
    """One field of a body that is wrong."""

    location: Name = Field(description="The field as a path with dots, such as allocation.0.weight; body for the whole")
    message: LongText = Field(description="What is wrong with it")


class Problem(Part):
    """A problem document (RFC 9457), the same that the HTTP API would have answered."""

    type: Name = Field(description="Stable URL-like slug of the kind of problem, such as /problems/not_found")
    title: Name = Field(description="The kind of problem for people")
    status: int = Field(ge=400, le=599, description="The HTTP status that belongs to it")
    detail: LongText | None = Field(default=None, description="What was wrong this time")
    instance: LongText | None = Field(default=None, description="What the problem is about, such as a path")
    request_id: Name | None = Field(default=None, description="The correlation id under which the log tells more")
    code: ShortText | None = Field(
        default=None,
        exclude_if=lambda code: code is None,
        description="The ledger's own code of what was wrong, such as 0007; only where it has one",
    )
    errors: Listed[FieldError] = Field(default=(), max_length=100, description="The fields that are wrong")


class Reply(Event):
    """The answer to one command, under that command's key."""

    topic: ClassVar[Topic] = COMMANDS_REPLIES
    key_field: ClassVar[str] = "command_key"

    command_id: ShortText = Field(description="The ce_id of the command that is answered")
    command_type: ShortText = Field(description="The ce_type of that command")
    command_key: Name = Field(description="The Kafka key of that command, and of this reply")
    command_source: Name | None = Field(
        default=None, description="The ce_source of that command; null in replies of earlier versions"
    )


class CommandAccepted(Reply):
    """The command was done."""

    resource: dict[str, JsonValue] | None = Field(
        description="The resource as the HTTP API would have shown it; null where there is none to show"
    )


class CommandRejected(Reply):
    """The command was understood or at least received, and will not be done; sending it again will not help."""

    problem: Problem = Field(description="Why it was refused")
