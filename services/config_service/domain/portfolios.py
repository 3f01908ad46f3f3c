"""Ledger portfolios: what may be said of one, and what a merge patch makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Self
from uuid import UUID

from pydantic import Field, JsonValue, ValidationError

from shared.contracts import CreatePortfolio, Name, Timestamp, UpdatePortfolio
from shared.contracts.portfolios import StatusCode
from shared.kit.refusals import Conflict, NotFound

from .ledgers import NOT_FOUND, CamelBody, CamelResource, LedgerName, refusal_of
from .metadata import Metadata, merged

#: The status of a portfolio of which nothing else is said.
ACTIVE: Final = "ACTIVE"
_METADATA: Final[list[Any]] = [{"riskProfile": "medium", "currencyExposure": ["USD", "EUR"]}]


@dataclass(frozen=True)
class Portfolio:
    """What groups the accounts of one entity."""

    portfolio_id: UUID
    organization_id: UUID
    ledger_id: UUID
    name: str
    entity_id: str | None
    status_code: str
    status_description: str | None
    metadata: Mapping[str, JsonValue]
    revision: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def state(self) -> dict[str, Any]:
        """What is announced of it: all but the metadata."""
        return {name: value for name, value in vars(self).items() if name != "metadata"}


#: In the place of what is left out; never looked at. Null, where it is sent, is refused as of the wrong type.
_LEFT_OUT: Final[Any] = None


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class StatusToSet(CamelBody):
    """A status."""

    code: StatusCode = Field(
        _LEFT_OUT,
        description="While it is BLOCKED, the portfolio's accounts take no orders",
        examples=["ACTIVE"],
        json_schema_extra=_without_default,
    )
    description: Name | None = Field(None, description="Why it is that", examples=["Under compliance review"])


class PortfolioBody(CamelBody):
    """What is said of a portfolio."""

    @classmethod
    def reading(cls, said: Mapping[str, JsonValue], *, within: str = "body") -> Self:
        """Read what a command says; raises LedgerRequestInvalid, which names the fields as those of `within`."""
        try:
            return cls.model_validate(said)
        except ValidationError as invalid:
            raise refusal_of(invalid.errors(include_url=False, include_input=False), within=within) from invalid


class PortfolioToMake(PortfolioBody):
    """A new portfolio."""

    name: LedgerName = Field(description="What to call it; others may be called the same", examples=["Savings"])
    entity_id: Name | None = Field(
        None, description="Who is responsible for it, by the client's own id", examples=["user 4711"]
    )
    status: StatusToSet | None = Field(None, description="ACTIVE where it, or its code, is left out")
    metadata: Metadata | None = Field(None, description="Keys and values of the client's own", examples=_METADATA)


class PortfolioPatch(PortfolioBody):
    """A JSON merge patch (RFC 7396); what is left out stays as it is."""

    name: LedgerName = Field(
        _LEFT_OUT, description="What to call it", examples=["Savings"], json_schema_extra=_without_default
    )
    entity_id: Name | None = Field(
        None, description="Who is responsible for it; null takes it away", examples=["user 4711"]
    )
    status: StatusToSet = Field(
        _LEFT_OUT,
        description="A code without a description clears the description; a description alone keeps the code",
        json_schema_extra=_without_default,
    )
    metadata: Metadata | None = Field(
        None, description="Keys to set; null takes a key away, and null for the whole clears it", examples=_METADATA
    )


class StatusResource(CamelResource):
    """A portfolio's status."""

    code: str = Field(description="While it is BLOCKED, the portfolio's accounts take no orders", examples=["ACTIVE"])
    description: str | None = Field(description="Why it is that", examples=[None])


class PortfolioResource(CamelResource):
    """A portfolio, the same in answers on HTTP and in replies to commands."""

    id: UUID = Field(description="The portfolio")
    organization_id: UUID = Field(description="The organization that its ledger belongs to")
    ledger_id: UUID = Field(description="The ledger that it stands in")
    entity_id: str | None = Field(description="Who is responsible for it", examples=["user 4711"])
    name: str = Field(description="What it is called", examples=["Savings"])
    status: StatusResource = Field(description="Its status")
    metadata: dict[str, JsonValue] = Field(description="Keys and values of the client's own", examples=_METADATA)
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")
    deleted_at: Timestamp | None = Field(description="Null: what is deleted is not shown", examples=[None])

    @classmethod
    def of(cls, portfolio: Portfolio) -> Self:
        """Show a portfolio."""
        return cls(
            id=portfolio.portfolio_id,
            organization_id=portfolio.organization_id,
            ledger_id=portfolio.ledger_id,
            entity_id=portfolio.entity_id,
            name=portfolio.name,
            status=StatusResource(code=portfolio.status_code, description=portfolio.status_description),
            metadata=dict(portfolio.metadata),
            created_at=portfolio.created_at,
            updated_at=portfolio.updated_at,
            deleted_at=portfolio.deleted_at,
        )


class LedgerPortfolioNotFound(NotFound):
    """There is no such portfolio in this ledger."""

    code = NOT_FOUND


class PortfolioInUse(Conflict):
    """Accounts name the portfolio; take it from them first."""


class PortfolioIdTaken(Conflict):
    """There is a portfolio with this id, or there was one."""


@dataclass(frozen=True)
class PortfolioFields:
    """All of a portfolio that a client may set."""

    name: str
    entity_id: str | None
    status_code: str
    status_description: str | None
    metadata: Mapping[str, JsonValue]


def fields_of(new: PortfolioToMake) -> PortfolioFields:
    """Give what a new portfolio holds; raises LedgerRequestInvalid where its metadata is too large."""
    status = new.status or StatusToSet()
    return PortfolioFields(
        name=new.name,
        entity_id=new.entity_id,
        status_code=status.code or ACTIVE,
        status_description=status.description,
        metadata=merged({}, new.metadata),
    )


def fields_after(portfolio: Portfolio, patch: PortfolioPatch) -> PortfolioFields:
    """Give what a portfolio holds after a merge patch; raises LedgerRequestInvalid where its metadata is too large."""
    sent = patch.model_fields_set
    fields = PortfolioFields(
        name=patch.name if "name" in sent else portfolio.name,
        entity_id=patch.entity_id if "entity_id" in sent else portfolio.entity_id,
        status_code=portfolio.status_code,
        status_description=portfolio.status_description,
        metadata=merged(portfolio.metadata, patch.metadata) if "metadata" in sent else portfolio.metadata,
    )
    return _with_status(fields, patch.status) if "status" in sent else fields


def _with_status(fields: PortfolioFields, status: StatusToSet) -> PortfolioFields:
    # A new code is a new status: the description of the old one does not explain it.
    if "code" in status.model_fields_set:
        return replace(fields, status_code=status.code, status_description=status.description)
    if "description" in status.model_fields_set:
        return replace(fields, status_description=status.description)
    return fields


def portfolio_asked_for(command: CreatePortfolio) -> PortfolioToMake:
    """Read what a command wants to have made; raises LedgerRequestInvalid."""
    status = None if command.status is None else command.status.model_dump(exclude_none=True)
    said = {"name": command.name, "entityId": command.entity_id, "status": status, "metadata": command.metadata}
    return PortfolioToMake.reading(said)


def patch_asked_for(command: UpdatePortfolio) -> PortfolioPatch:
    """Read what a command wants to have changed; raises LedgerRequestInvalid."""
    return PortfolioPatch.reading(command.changes, within="body.changes")
