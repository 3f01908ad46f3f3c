"""Ledger portfolios: what groups the accounts of one entity inside organization and ledger."""

from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import ConfigDict, Field, JsonValue

from .base import Command, Part, StateEvent
from .topics import PORTFOLIOS_COMMANDS, PORTFOLIOS_EVENTS, Topic
from .values import Name, Text, Timestamp

#: The status code with which a portfolio's accounts take no orders; any other code lets them.
PORTFOLIO_BLOCKED = "BLOCKED"

StatusCode = Annotated[Text, Field(min_length=1, max_length=100)]
Metadata = dict[str, JsonValue]


class PortfolioState(StateEvent):
    """The whole ledger portfolio after a change, its metadata left out."""

    topic: ClassVar[Topic] = PORTFOLIOS_EVENTS
    key_field: ClassVar[str] = "portfolio_id"

    portfolio_id: UUID = Field(description="The portfolio")
    organization_id: UUID = Field(description="The organization that its ledger belongs to")
    ledger_id: UUID = Field(description="The ledger that it stands in")
    name: Name = Field(description="What the client calls it")
    entity_id: Name | None = Field(description="Who is responsible for it, by the client's own id")
    status_code: StatusCode = Field(description="While it is BLOCKED, the portfolio's accounts take no orders")
    status_description: Name | None = Field(description="Why the status is what it is")
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")
    deleted_at: Timestamp | None = Field(description="When it was deleted; null while it exists")


class PortfolioCreated(PortfolioState):
    """A ledger portfolio was made."""


class PortfolioUpdated(PortfolioState):
    """A ledger portfolio was updated: its name, entity, status or metadata."""


class PortfolioDeleted(PortfolioState):
    """A ledger portfolio that no account names was deleted; the body is its last state."""


class PortfolioStatus(Part):
    """A status to be set."""

    model_config = ConfigDict(extra="forbid")

    code: StatusCode | None = Field(default=None, description="The status; ACTIVE where it is left out or null")
    description: Name | None = Field(default=None, description="Why it is that")


class PortfolioCommand(Command):
    """A command on one portfolio of one ledger."""

    topic: ClassVar[Topic] = PORTFOLIOS_COMMANDS
    key_field: ClassVar[str] = "portfolio_id"

    portfolio_id: UUID = Field(description="The portfolio")
    organization_id: UUID = Field(description="The organization that the ledger belongs to")
    ledger_id: UUID = Field(description="The ledger that the portfolio stands in")


class CreatePortfolio(PortfolioCommand):
    """Make a ledger portfolio under an id that the sender has chosen and nothing bears yet."""

    name: Name = Field(description="What to call it")
    entity_id: Name | None = Field(default=None, description="Who is responsible for it, by the client's own id")
    status: PortfolioStatus | None = Field(default=None, description="Its first status; ACTIVE where it is left out")
    metadata: Metadata | None = Field(
        default=None, description="Keys of at most 100 characters; values are scalars or arrays of scalars"
    )


class UpdatePortfolio(PortfolioCommand):
    """Change a ledger portfolio."""

    changes: dict[str, JsonValue] = Field(
        description="The JSON merge patch that PATCH takes over HTTP, as it stands: name, entityId, status, metadata"
    )


class DeletePortfolio(PortfolioCommand):
    """Delete a ledger portfolio that no account names."""
