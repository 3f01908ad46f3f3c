"""Accounts over HTTP."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, BaseModel, Field
from pydantic.json_schema import SkipJsonSchema

from services.config_service import use_cases
from services.config_service.domain import UNCHANGED, Account, AccountChange, NewAccount
from shared.contracts import AccountStatus, AccountType, Name, Timestamp
from shared.kit.auth import Principal, requires
from shared.kit.http import RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

Reader = Annotated[Principal, Depends(requires("accounts:read"))]
Admin = Annotated[Principal, Depends(requires("accounts:admin"))]
AccountPage = Annotated[Page, Depends(paged_by("created_at"))]


def _not_null(status: AccountStatus | None) -> AccountStatus:
    if status is None:
        raise ValueError("must not be null")
    return status


AccountName = Annotated[Name, Field(min_length=1)]


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

    status: Annotated[AccountStatus | SkipJsonSchema[None], AfterValidator(_not_null)] = Field(
        None, description="CLOSED is final"
    )
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
    name: str | None = Field(description="What the client calls it")
    portfolio_id: UUID | None = Field(description="The ledger portfolio that it belongs to")
    created_at: Timestamp = Field(description="When it was opened")
    updated_at: Timestamp = Field(description="When it last changed")


def account_routes(database: Database) -> APIRouter:
    """The routes under /accounts."""
    router = APIRouter(prefix="/accounts", tags=["accounts"])

    @router.post("", status_code=201, summary="Open an account")
    async def open_account(request: Request, response: Response, admin: Admin, body: AccountToOpen) -> AccountShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            account = await use_cases.open_account(work, cause, body.as_new())
        response.headers["Location"] = f"/accounts/{account.account_id}"
        return _shown(account)

    @router.get("", summary="List accounts")
    async def list_accounts(reader: Reader, page: AccountPage) -> Listing[AccountShown]:
        async with database.reading() as connection:
            accounts, total = await use_cases.list_accounts(connection, reader.client_id, page)
        return Listing[AccountShown].of(page, [_shown(account) for account in accounts], total)

    @router.get("/{account_id}", summary="Read an account")
    async def read_account(reader: Reader, account_id: UUID) -> AccountShown:
        async with database.reading() as connection:
            return _shown(await use_cases.read_account(connection, reader.client_id, account_id))

    @router.patch("/{account_id}", summary="Change an account's status or name")
    async def change_account(request: Request, admin: Admin, account_id: UUID, body: AccountPatch) -> AccountShown:
        cause = cause_of(request, admin)
        async with database.unit_of_work(cause) as work:
            account = await use_cases.change_account(work, cause, account_id, body.as_change())
        return _shown(account)

    return router


def _shown(account: Account) -> AccountShown:
    return AccountShown(**vars(account))
