"""What becomes of an account, and which may be configured."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.config_service.domain import (
    Account,
    AccountChange,
    AccountClosed,
    AccountNotActive,
    AccountNotForPortfolios,
    AccountStillConfigured,
    refuse_unless_configurable,
    status_after,
)
from shared.contracts import AccountStatus, AccountType

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OPEN_STATUSES = sorted(set(AccountStatus) - {AccountStatus.CLOSED})


def an_account(**changes: Any) -> Account:
    account = Account(
        account_id=uuid4(),
        user_id=uuid4(),
        type=AccountType.PORTFOLIO,
        status=AccountStatus.ACTIVE,
        name=None,
        portfolio_id=None,
        revision=1,
        created_at=NOW,
        updated_at=NOW,
    )
    return replace(account, **changes)


@pytest.mark.parametrize("before", OPEN_STATUSES)
@pytest.mark.parametrize("after", sorted(AccountStatus))
def test_an_account_that_is_not_closed_takes_any_status(before: AccountStatus, after: AccountStatus) -> None:
    assert status_after(an_account(status=before), AccountChange(status=after), configured=False) == after


@pytest.mark.parametrize("after", OPEN_STATUSES)
def test_closed_is_final(after: AccountStatus) -> None:
    with pytest.raises(AccountClosed):
        status_after(an_account(status=AccountStatus.CLOSED), AccountChange(status=after), configured=False)


def test_a_closed_account_may_be_closed_again_and_renamed() -> None:
    closed = an_account(status=AccountStatus.CLOSED)
    for change in (AccountChange(status=AccountStatus.CLOSED), AccountChange(name="old")):
        assert status_after(closed, change, configured=False) == AccountStatus.CLOSED


def test_a_configured_account_cannot_be_closed_but_may_be_closing() -> None:
    with pytest.raises(AccountStillConfigured):
        status_after(an_account(), AccountChange(status=AccountStatus.CLOSED), configured=True)
    change = AccountChange(status=AccountStatus.CLOSING)
    assert status_after(an_account(), change, configured=True) == AccountStatus.CLOSING


def test_only_active_portfolio_accounts_may_be_configured() -> None:
    refuse_unless_configurable(an_account())
    with pytest.raises(AccountNotForPortfolios):
        refuse_unless_configurable(an_account(type=AccountType.TRADING))


@pytest.mark.parametrize("status", sorted(set(AccountStatus) - {AccountStatus.ACTIVE}))
def test_an_account_that_is_not_active_may_not_be_configured(status: AccountStatus) -> None:
    with pytest.raises(AccountNotActive):
        refuse_unless_configurable(an_account(status=status))
