"""What every message of the bus has in common.

An event tells what happened and is read with tolerance: fields that this version does not know are ignored, so that
producers may add some. A command asks for something and is read strictly: a field that is not understood is refused,
because doing half of what was asked is worse than refusing it.
"""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from .topics import Topic
from .values import Revision


class Part(BaseModel):
    """A piece of a message: immutable, strict about types, tolerant of fields that it does not know."""

    # Built when first used: a program that imports all messages uses some, and waits a tenth of a second less.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True, defer_build=True)


class Message(Part):
    """What is sent on the bus. The class's name is its `ce_type`."""

    #: The topic on which messages of this class travel.
    topic: ClassVar[Topic]
    #: The field that is the Kafka key.
    key_field: ClassVar[str]

    @property
    def key(self) -> str:
        """The Kafka key: the key field as text, which for ids is the canonical lower-case form."""
        return str(getattr(self, self.key_field))

    def accepts_key(self, key: bytes) -> bool:
        """Whether the record that carries this message may have that key: only the canonical one, byte for byte."""
        return key == self.key.encode()


class Event(Message):
    """Something that happened; named in the past participle."""


class StateEvent(Event):
    """An event with the whole state of its key as body, on a compacted topic.

    A copy of the state applies any of them, also a type that it does not know yet, if the revision is greater than the
    one it has.
    """

    revision: Revision = Field(description="Grows by one with every event of this key; starts at 1")


class Command(Message):
    """Something that is asked for; named in the imperative. Unknown fields are refused."""

    model_config = ConfigDict(extra="forbid")
