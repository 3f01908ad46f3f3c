"""Routes of rebalancing executions."""

from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, model_validator

from shared.contracts import new_id
from shared.contracts.rebalancings import MAX_REQUESTED_ACCOUNTS, MAX_REQUESTED_ALLOCATIONS
from shared.kit.auth import Principal, requires
from shared.kit.http import RequestBody, cause_of
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .. import use_cases
from ..domain import Execution, ExecutionResource, OrderResource, Targets
from ..storage.orders import Filters
from .orders import listed

Reader = Annotated[Principal, Depends(requires("orders:read"))]
Admin = Annotated[Principal, Depends(requires("orders:admin"))]
OldestFirst = Annotated[Page, Depends(paged_by("created_at"))]


class ExecutionBody(RequestBody):
    """A rebalancing to be executed: exactly one of the two lists."""

    accounts: list[UUID] | None = Field(
        None, min_length=1, max_length=MAX_REQUESTED_ACCOUNTS, description="The accounts to rebalance"
    )
    allocations: list[UUID] | None = Field(
        None,
        min_length=1,
        max_length=MAX_REQUESTED_ALLOCATIONS,
        description="The allocations whose accounts to rebalance",
    )

    @model_validator(mode="after")
    def _names_accounts_or_allocations(self) -> Self:
        if (self.accounts is None) == (self.allocations is None):
            message = "give exactly one of accounts and allocations"
            raise ValueError(message)
        return self


def rebalancings_router(database: Database, copies: use_cases.Copies) -> APIRouter:
    """Build the routes."""
    router = APIRouter(prefix="/portfolios/rebalancings/executions", tags=["rebalancings"])

    @router.post("", status_code=201)
    async def request_(request: Request, response: Response, body: ExecutionBody, caller: Admin) -> ExecutionResource:
        """Bring accounts back to their target: one execution order for each."""
        cause, execution_id = cause_of(request, caller), new_id()
        targets = Targets(tuple(body.accounts or ()), tuple(body.allocations or ()))
        # What each order is cancelled for at once rests on the copies, so they come first.
        await copies.caught_up(body.accounts, {})
        async with database.unit_of_work(cause) as work:
            execution = await use_cases.request_rebalancing(work, cause, execution_id, targets)
        response.headers["Location"] = f"/portfolios/rebalancings/executions/{execution.id}"
        return ExecutionResource.of(execution)

    @router.get("/{execution_id}")
    async def show(execution_id: UUID, caller: Reader) -> ExecutionResource:
        """Show an execution."""
        return ExecutionResource.of(await _execution(caller, execution_id))

    @router.get("/{execution_id}/orders")
    async def list_orders(execution_id: UUID, caller: Reader, page: OldestFirst) -> Listing[OrderResource]:
        """List the orders of an execution."""
        execution = await _execution(caller, execution_id)
        return await listed(database, caller.client_id, Filters(execution_id=execution.id), page)

    async def _execution(caller: Principal, execution_id: UUID) -> Execution:
        return await use_cases.show_execution(database, caller.client_id, execution_id)

    return router
