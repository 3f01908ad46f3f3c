"""Configurations: the link from an account to the allocation that it is invested in."""

from typing import ClassVar
from uuid import UUID

from pydantic import Field, field_validator

from .base import Command, StateEvent
from .topics import CONFIGURATIONS_COMMANDS, CONFIGURATIONS_EVENTS, Topic
from .values import Timestamp, Version


class ConfigurationState(StateEvent):
    """The whole configuration of an account after a change, a deletion included.

    An event of version w proves that every version below w was deleted.
    """

    topic: ClassVar[Topic] = CONFIGURATIONS_EVENTS
    key_field: ClassVar[str] = "account_id"
    #: What `configured` must be in this class; None where both are possible.
    announces: ClassVar[bool | None] = None

    account_id: UUID = Field(description="The account")
    allocation_id: UUID = Field(description="The allocation it is, or was last, invested in")
    version: Version = Field(description="Grows by one with every configuration that the account ever had")
    configured: bool = Field(description="Whether the account has a configuration now")
    created_at: Timestamp = Field(description="When this version was configured")
    updated_at: Timestamp = Field(description="When it last changed")
    deleted_at: Timestamp | None = Field(description="When this version was deleted; null while it exists")

    @field_validator("configured")
    @classmethod
    def _is_what_the_type_announces(cls, configured: bool) -> bool:  # noqa: FBT001 - pydantic calls it
        if cls.announces is not None and configured is not cls.announces:
            message = f"{cls.__name__} says that configured is {str(cls.announces).lower()}"
            raise ValueError(message)
        return configured


class ConfigurationCreated(ConfigurationState):
    """An account was configured, under its next version."""

    announces: ClassVar[bool | None] = True


class ConfigurationChanged(ConfigurationState):
    """An account's configuration has another target, under the version that it had; nothing is traded for that."""

    announces: ClassVar[bool | None] = True


class ConfigurationDeleted(ConfigurationState):
    """An account's configuration was deleted; new orders of this version and of older ones must not stay."""

    announces: ClassVar[bool | None] = False


class CreateConfiguration(Command):
    """Configure an account."""

    topic: ClassVar[Topic] = CONFIGURATIONS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account to configure; of type PORTFOLIO, ACTIVE and not configured yet")
    allocation_id: UUID = Field(description="The allocation to invest it in")


class ChangeConfiguration(Command):
    """Give an account's configuration another target; nothing is traded for that, and no order is cancelled."""

    topic: ClassVar[Topic] = CONFIGURATIONS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account whose configuration is to change")
    allocation_id: UUID = Field(description="The allocation to invest it in from now on")


class DeleteConfiguration(Command):
    """Delete an account's configuration; its new orders are cancelled."""

    topic: ClassVar[Topic] = CONFIGURATIONS_COMMANDS
    key_field: ClassVar[str] = "account_id"

    account_id: UUID = Field(description="The account whose configuration is to be deleted")
