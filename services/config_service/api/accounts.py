"""Accounts over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.config_service import use_cases
from services.config_service.domain import (
    UNCHANGED,
    Account,
    AccountChange,
    AccountClosed,
    AccountFilter,
    AccountStillConfigured,
    NewAccount,
    PortfolioNotFound,
)
from shared.contracts import AccountStatus, AccountType, Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import Creation, ExpectedRevision, RequestBody, cause_of, creating, etag_of, refuses
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("accounts:read"))]
Admin = Annotated[Principal, Depends(requires("accounts:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("accounts:admin")))]
AccountPage = Annotated[Page, Depends(paged_by("created_at"))]


async def _asked_for(
    status: Annotated[AccountStatus | None, Query(description="only accounts in this status")] = None,
    type: Annotated[AccountType | None, Query(description="only accounts of this type")] = None,  # noqa: A002
    user_id: Annotated[UUID | None, Query(description="only this user's accounts")] = None,
    portfolio_id: Annotated[UUID | None, Query(description="only accounts of this ledger portfolio")] = None,
) -> AccountFilter:
    return AccountFilter(status, type, user_id, portfolio_id)


AsAskedFor = Annotated[AccountFilter, Depends(_asked_for)]
AccountName = Annotated[Name, Field(min_length=1, examples=["Retirement"])]


class AccountToOpen(RequestBody):
    """A new account."""

    user_id: UUID = Field(description="The user whose money it will hold")
    type: AccountType = Field(description="Only PORTFOLIO accounts can be configured")
    name: AccountName | None = Field(None, description="What the client calls it")
    status: Literal["ACTIVE", "PENDING_APPROVAL"] = Field(
        "ACTIVE", description="PENDING_APPROVAL for an account that must not be used yet"
    )
    portfolio_id: UUID | None = Field(None, description="The ledger portfolio that it belongs to")

    def as_new(self) -> NewAccount:
        """The same in the domain's words."""
        return NewAccount(self.user_id, self.type, self.name, AccountStatus(self.status), self.portfolio_id)


class AccountPatch(RequestBody):
    """What is to be changed; a field that is left out stays as it is."""

    # The default is never read: only what was sent counts.
    status: AccountStatus = Field(default_factory=lambda: AccountStatus.ACTIVE, description="CLOSED is final")
    name: AccountName | None = Field(None, description="What the client calls it; null takes the name away")
    portfolio_id: UUID | None = Field(None, description="The ledger portfolio; null takes it away")

    def as_change(self) -> AccountChange:
        """What was sent, and nothing of what was left out."""
        sent = self.model_fields_set
        return AccountChange(**{name: getattr(self, name) if name in sent else UNCHANGED for name in _PATCHABLE})


_PATCHABLE = ("status", "name", "portfolio_id")


class AccountShown(BaseModel):
    """An account."""

    account_id: UUID = Field(description="The account")
    user_id: UUID = Field(description="The user whose money it holds")
    type: AccountType = Field(description="What it is for")
    status: AccountStatus = Field(description="Whether it may be used")
    name: str | None = Field(description="What the client calls it", examples=["Retirement"])
    portfolio_id: UUID | None = Field(description="The ledger portfolio that it belongs to")
    created_at: Timestamp = Field(description="When it was opened")
    updated_at: Timestamp = Field(description="When it last changed")


def account_routes(database: Database) -> APIRouter:
    """The routes under /accounts."""
    router = APIRouter(prefix="/accounts", tags=["accounts"])

    @router.post(
        "",
        status_code=201,
        response_model=AccountShown,
        summary="Open an account",
        responses=refuses(PortfolioNotFound, etag=True),
    )
    async def open_account(creation: Creating, body: AccountToOpen) -> Response:
        async with creation.unit_of_work(database) as work:
            account = await use_cases.open_account(work, creation.cause, body.as_new())
            location = f"/accounts/{account.account_id}"
            return creation.keep(work, account_shown(account), location=location, revision=account.revision)

    @router.get("", summary="List accounts")
    async def list_accounts(reader: Reader, page: AccountPage, wanted: AsAskedFor) -> Listing[AccountShown]:
        async with database.reading() as connection:
            part = await use_cases.list_accounts(connection, reader.client_id, wanted, page)
        return Listing[AccountShown].showing(page, part.of(account_shown))

    @router.get("/{account_id}", summary="Read an account", responses=refuses(etag=True))
    async def read_account(response: Response, reader: Reader, account_id: UUID) -> AccountShown:
        async with database.reading() as connection:
            account = await use_cases.read_account(connection, reader.client_id, account_id)
        return _tagged(response, account)

    @router.patch(
        "/{account_id}",
        summary="Change an account's status, name or portfolio",
        responses=refuses(AccountClosed, AccountStillConfigured, PortfolioNotFound, etag=True),
    )
    async def change_account(
        request: Request,
        response: Response,
        admin: Admin,
        account_id: UUID,
        expected: ExpectedRevision,
        body: AccountPatch,
    ) -> AccountShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            account = await use_cases.change_account(work, cause, account_id, body.as_change(), expected)
        return _tagged(response, account)

    return router


def account_shown(account: Account) -> AccountShown:
    """The account as the API shows it."""
    return AccountShown(**vars(account))


def _tagged(response: Response, account: Account) -> AccountShown:
    response.headers["ETag"] = etag_of(account.revision)
    return account_shown(account)
