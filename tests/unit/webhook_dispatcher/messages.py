"""Builders of what the bus tells the dispatcher."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from shared.contracts import (
    AccountCreated,
    AccountStatus,
    AccountType,
    AllocationChanged,
    AllocationItem,
    ClientChanged,
    ClientRevoked,
    ConfigurationCreated,
    ConfigurationDeleted,
    InstrumentIdType,
    OrderPlaced,
    OrderSide,
    OrderStatus,
    PortfolioDeleted,
    PortfolioState,
    RebalancingOrderCreated,
    RebalancingOrderStatus,
)

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def account_created(account_id: UUID, **changed: Any) -> AccountCreated:
    told: dict[str, Any] = {
        "user_id": uuid4(),
        "type": AccountType.PORTFOLIO,
        "status": AccountStatus.ACTIVE,
        "name": None,
        "portfolio_id": None,
        "created_at": AT,
        "updated_at": AT,
        "revision": 1,
    }
    return AccountCreated(account_id=account_id, **{**told, **changed})


def configured(account_id: UUID, version: int = 1, **changed: Any) -> ConfigurationCreated:
    """The state after the configuration of this version, as if each version was created and deleted in turn."""
    return ConfigurationCreated(**_configuration(account_id, version, 2 * version - 1, None, **changed))


def deleted(account_id: UUID, version: int = 1, **changed: Any) -> ConfigurationDeleted:
    """The state after the deletion of this version."""
    return ConfigurationDeleted(**_configuration(account_id, version, 2 * version, AT, **changed))


def _configuration(
    account_id: UUID, version: int, default_revision: int, deleted_at: datetime | None, **changed: Any
) -> dict[str, Any]:
    told = {
        "account_id": account_id,
        "allocation_id": uuid4(),
        "version": version,
        "revision": default_revision,
        "configured": deleted_at is None,
        "created_at": AT,
        "updated_at": AT,
        "deleted_at": deleted_at,
    }
    return {**told, **changed}


def allocation_changed(allocation_id: UUID, *instruments: str) -> AllocationChanged:
    items = [
        AllocationItem(instrument_id=each, instrument_id_type=InstrumentIdType.UUID, weight=Decimal(1))
        for each in instruments
    ]
    return AllocationChanged(
        allocation_id=allocation_id,
        name=None,
        allocation=tuple(items),
        revision=2,
        created_at=AT,
        updated_at=AT,
        deleted_at=None,
    )


def client_changed(client_id: UUID, revision: int = 2) -> ClientChanged:
    return ClientChanged(**_client(client_id, revision, None))


def client_revoked(client_id: UUID, revision: int = 3) -> ClientRevoked:
    return ClientRevoked(**_client(client_id, revision, AT))


def _client(client_id: UUID, revision: int, revoked_at: datetime | None) -> dict[str, Any]:
    return {
        "client_id": client_id,
        "name": "a client",
        "scopes": ["webhooks:admin"],
        "revision": revision,
        "created_at": AT,
        "updated_at": AT,
        "revoked_at": revoked_at,
    }


def rebalancing(account_id: UUID, version: int | None = None) -> RebalancingOrderCreated:
    return RebalancingOrderCreated(
        id=uuid4(),
        execution_id=None,
        account_id=account_id,
        configuration_version=version,
        status=RebalancingOrderStatus.NEW,
        cancellation_reason=None,
        created_at=AT,
        updated_at=AT,
    )


def order_placed(account_id: UUID) -> OrderPlaced:
    return OrderPlaced(
        id=uuid4(),
        account_id=account_id,
        user_id=uuid4(),
        allocation_id=uuid4(),
        configuration_version=1,
        side=OrderSide.BUY,
        cash_amount=Decimal("100.00"),
        currency="EUR",
        client_reference=None,
        status=OrderStatus.NEW,
        cancellation_reason=None,
        created_at=AT,
        updated_at=AT,
        processing_at=None,
        filled_at=None,
        settled_at=None,
        cancelled_at=None,
    )


def portfolio(kind: type[PortfolioState], revision: int) -> PortfolioState:
    """A change of the one ledger portfolio that these tests know."""
    return kind(
        portfolio_id=UUID(int=1),
        organization_id=UUID(int=2),
        ledger_id=UUID(int=3),
        name="Savings",
        entity_id=None,
        status_code="ACTIVE",
        status_description=None,
        revision=revision,
        created_at=AT,
        updated_at=AT,
        deleted_at=AT if kind is PortfolioDeleted else None,
    )
