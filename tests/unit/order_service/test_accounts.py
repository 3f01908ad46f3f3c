"""What the copy of an account allows."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.order_service.domain import (
    AccountCannotTakeOrders,
    AccountCopy,
    AccountNotActive,
    AccountNotFound,
    AccountNotTrustworthy,
    ConfigurationMissing,
    ConfigurationNotKnownYet,
    ConfigurationOutdated,
    PortfolioBlocked,
    ReasonNotUpstreams,
    cancellation_bound,
    check_found_upstream,
    check_takes_orders,
    planned_orders,
    rebalancing_refusal,
    stops_orders,
)
from shared.contracts import AccountStatus, AccountType, PortfolioUpdated, RebalancingCancellationReason

CLIENT, STRANGER = UUID(int=1), UUID(int=2)
ACCOUNT, ALLOCATION = UUID(int=3), UUID(int=4)
AT = datetime(2026, 1, 31, tzinfo=UTC)


def an_account(**changed: Any) -> AccountCopy:
    told: dict[str, Any] = {
        "client_id": CLIENT,
        "type": AccountType.PORTFOLIO,
        "status": AccountStatus.ACTIVE,
        "configured": True,
        "allocation_id": ALLOCATION,
        "configuration_version": 3,
    }
    return AccountCopy(ACCOUNT, **{**told, **changed})


def test_a_deletion_proves_its_own_version_deleted_and_any_other_event_those_below() -> None:
    assert cancellation_bound(3, configured=False) == 3
    assert cancellation_bound(3, configured=True) == 2


@pytest.mark.parametrize("named", [None, 3])
def test_a_configured_active_portfolio_account_takes_orders(named: int | None) -> None:
    assert check_takes_orders(an_account(), CLIENT, named) == an_account()


@pytest.mark.parametrize(
    ("account", "refusal"),
    [
        (None, AccountNotFound),
        (AccountCopy(ACCOUNT), AccountNotFound),
        (AccountCopy(ACCOUNT, client_id=CLIENT, configured=True, configuration_version=3), AccountNotFound),
        (an_account(client_id=STRANGER), AccountNotFound),
        (an_account(client_id=STRANGER, account_quarantined="why"), AccountNotFound),
        (an_account(account_quarantined="why"), AccountNotTrustworthy),
        (an_account(configuration_quarantined="why"), AccountNotTrustworthy),
        (AccountCopy(ACCOUNT, account_quarantined="why"), AccountNotTrustworthy),
        (an_account(portfolio_quarantined="why"), AccountNotTrustworthy),
        (an_account(portfolio_blocked=True), PortfolioBlocked),
        (an_account(portfolio_blocked=True, configured=False), PortfolioBlocked),
        (an_account(type=AccountType.TRADING), AccountCannotTakeOrders),
        (an_account(status=AccountStatus.CLOSING), AccountNotActive),
        (an_account(configured=False), ConfigurationMissing),
    ],
)
def test_other_accounts_take_none(account: AccountCopy | None, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        check_takes_orders(account, CLIENT, None)


@pytest.mark.parametrize(
    "account",
    [
        None,
        AccountCopy(ACCOUNT),
        AccountCopy(ACCOUNT, client_id=CLIENT, configured=True, configuration_version=3),
        an_account(client_id=STRANGER),
    ],
)
def test_an_account_whose_version_is_named_is_never_said_not_to_be_there(account: AccountCopy | None) -> None:
    with pytest.raises(ConfigurationNotKnownYet):
        check_takes_orders(account, CLIENT, 3)


def test_a_version_that_is_named_must_be_the_present_one() -> None:
    with pytest.raises(ConfigurationOutdated):
        check_takes_orders(an_account(), CLIENT, 2)
    with pytest.raises(ConfigurationNotKnownYet):
        check_takes_orders(an_account(), CLIENT, 4)
    with pytest.raises(ConfigurationNotKnownYet):
        check_takes_orders(an_account(configured=False), CLIENT, 4)


@pytest.mark.parametrize(
    ("account", "reason"),
    [
        (an_account(), None),
        (None, RebalancingCancellationReason.ACCOUNT_NOT_FOUND),
        (an_account(client_id=STRANGER), RebalancingCancellationReason.ACCOUNT_NOT_FOUND),
        (an_account(type=AccountType.TRADING), RebalancingCancellationReason.INVALID_ACCOUNT_TYPE),
        (an_account(status=AccountStatus.LOCKED), RebalancingCancellationReason.INVALID_ACCOUNT_STATUS),
        (an_account(portfolio_blocked=True), RebalancingCancellationReason.INVALID_ACCOUNT_STATUS),
        (an_account(configured=False), RebalancingCancellationReason.CONFIGURATION_IS_MISSING),
    ],
)
def test_why_an_account_is_not_rebalanced(
    account: AccountCopy | None, reason: RebalancingCancellationReason | None
) -> None:
    assert rebalancing_refusal(account, CLIENT) == reason


def test_one_execution_order_is_planned_for_each_account_and_nothing_foreign_is_told() -> None:
    foreign = UUID(int=9)
    known = {ACCOUNT: an_account(), foreign: an_account(client_id=STRANGER)}
    mine, theirs = planned_orders([ACCOUNT, foreign], known, CLIENT)
    assert (mine.account_id, mine.configuration_version, mine.announced) == (ACCOUNT, 3, True)
    assert (theirs.account_id, theirs.configuration_version, theirs.allocation_id) == (foreign, None, None)
    assert not theirs.announced


def test_a_refused_execution_order_belongs_to_the_last_version_that_the_account_had() -> None:
    (gone,) = planned_orders([ACCOUNT], {ACCOUNT: an_account(configured=False)}, CLIENT)
    (never,) = planned_orders([ACCOUNT], {ACCOUNT: an_account(configured=False, configuration_version=0)}, CLIENT)
    assert (gone.configuration_version, never.configuration_version) == (3, None)


def test_orders_of_an_execution_that_was_cancelled_are_made_cancelled_each_for_its_own_reason_first() -> None:
    known = {ACCOUNT: an_account()}
    mine, unknown = planned_orders([ACCOUNT, UUID(int=9)], known, CLIENT, cancelled=True)
    assert mine.refusal is RebalancingCancellationReason.CANCELLED_BY_CLIENT
    assert unknown.refusal is RebalancingCancellationReason.ACCOUNT_NOT_FOUND


@pytest.mark.parametrize("reason", [each for each in RebalancingCancellationReason if each != "CANCELLED_BY_CLIENT"])
def test_upstream_may_give_any_reason_that_it_found_itself(reason: RebalancingCancellationReason) -> None:
    check_found_upstream(reason)


def test_upstream_may_not_say_that_the_client_has_cancelled() -> None:
    with pytest.raises(ReasonNotUpstreams):
        check_found_upstream(RebalancingCancellationReason.CANCELLED_BY_CLIENT)


@pytest.mark.parametrize(
    ("status", "deleted_at", "stops"),
    [("BLOCKED", None, True), ("ACTIVE", None, False), ("blocked", None, False), ("BLOCKED", AT, False)],
)
def test_a_portfolio_stops_orders_while_it_exists_and_its_status_code_is_blocked(
    status: str, deleted_at: datetime | None, *, stops: bool
) -> None:
    state = PortfolioUpdated(
        portfolio_id=ACCOUNT, organization_id=ACCOUNT, ledger_id=ACCOUNT, name="Family", entity_id=None,
        status_code=status, status_description=None, created_at=AT, updated_at=AT, deleted_at=deleted_at, revision=1,
    )  # fmt: skip
    assert stops_orders(state) is stops
