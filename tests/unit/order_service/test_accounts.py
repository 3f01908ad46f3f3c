"""What the copy of an account allows."""

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
    cancellation_bound,
    check_takes_orders,
    planned_orders,
    rebalancing_refusal,
)
from shared.contracts import AccountStatus, AccountType, RebalancingCancellationReason

CLIENT, STRANGER = UUID(int=1), UUID(int=2)
ACCOUNT, ALLOCATION = UUID(int=3), UUID(int=4)


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
        (an_account(type=AccountType.TRADING), AccountCannotTakeOrders),
        (an_account(status=AccountStatus.CLOSING), AccountNotActive),
        (an_account(configured=False), ConfigurationMissing),
    ],
)
def test_other_accounts_take_none(account: AccountCopy | None, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        check_takes_orders(account, CLIENT, None)


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
    mine, theirs = planned_orders([ACCOUNT, foreign, ACCOUNT], known, CLIENT)
    assert (mine.account_id, mine.configuration_version, mine.announced) == (ACCOUNT, 3, True)
    assert (theirs.account_id, theirs.configuration_version, theirs.allocation_id) == (foreign, None, None)
    assert not theirs.announced


def test_a_refused_execution_order_belongs_to_the_last_version_that_the_account_had() -> None:
    (gone,) = planned_orders([ACCOUNT], {ACCOUNT: an_account(configured=False)}, CLIENT)
    (never,) = planned_orders([ACCOUNT], {ACCOUNT: an_account(configured=False, configuration_version=0)}, CLIENT)
    assert (gone.configuration_version, never.configuration_version) == (3, None)


def test_nothing_is_planned_while_a_copy_cannot_be_trusted() -> None:
    with pytest.raises(AccountNotTrustworthy):
        planned_orders([ACCOUNT], {ACCOUNT: an_account(account_quarantined="why")}, CLIENT)
