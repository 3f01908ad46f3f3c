"""Routes of rebalancing executions."""

from collections.abc import Callable
from typing import Annotated, Self
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from shared.contracts import new_id
from shared.contracts.rebalancings import MAX_REQUESTED_ACCOUNTS, MAX_REQUESTED_ALLOCATIONS
from shared.kit.auth import Principal, requires
from shared.kit.faults import INFRASTRUCTURE
from shared.kit.http import Creation, RequestBody, cause_of, creating, refuses
from shared.kit.logs import get_logger
from shared.kit.paging import Listing, Page, paged_by
from shared.kit.unit_of_work import Database

from .. import use_cases
from ..domain import Execution, ExecutionNotFound, ExecutionResource, OrderResource, ProgressResource, Targets
from ..storage.listing import Filters
from .orders import Account, Status, listed

Reader = Annotated[Principal, Depends(requires("orders:read"))]
Admin = Annotated[Principal, Depends(requires("orders:admin"))]
Creating = Annotated[Creation, Depends(creating(requires("orders:admin")))]
NewestFirst = Annotated[Page, Depends(paged_by("created_at", order="desc"))]
OldestFirst = Annotated[Page, Depends(paged_by("created_at"))]

#: How many shares of a cancellation are done before it is answered: all that a request by accounts can have made. What
#: is left of larger ones is the worker's.
_SHARES_AT_ONCE = MAX_REQUESTED_ACCOUNTS // use_cases.AT_ONCE + 1

_log = get_logger("rebalancing")


def _only(field: str) -> JsonDict:
    """The schema of a body that has this field, and the others not or as null."""
    others: JsonDict = {name: {"type": "null"} for name in ("accounts", "allocations") if name != field}
    return {"required": [field], "properties": {field: {"type": "array"}, **others}}


class ExecutionBody(RequestBody):
    """A rebalancing to be executed: exactly one of the two lists."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [_only("accounts"), _only("allocations")],
            "examples": [{"accounts": ["0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e"]}],
        }
    )

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


def rebalancings_router(database: Database, copies: use_cases.Copies, wake: Callable[[], None]) -> APIRouter:
    """Build the routes; `wake` tells the worker that there is work left."""
    router = APIRouter(prefix="/portfolios/rebalancings/executions", tags=["rebalancings"])

    @router.post("", status_code=201, response_model=ExecutionResource, summary="Request a rebalancing")
    async def request_(creation: Creating, body: ExecutionBody) -> Response:
        """Bring accounts back to their target: one execution order for each.

        The orders of the first thousand accounts are there with the answer; of the others `pending` tells how many.
        """
        await creation.replay(database)
        targets = Targets(tuple(body.accounts or ()), tuple(body.allocations or ()))
        # Which accounts there are, and what each order is cancelled for at once, rests on the copies: they come first.
        await copies.caught_up(body.accounts, {})
        async with creation.unit_of_work(database) as work:
            execution = await use_cases.request_rebalancing(work, creation.cause, new_id(), targets)
            answer = creation.keep(
                work,
                ExecutionResource.of(execution),
                location=f"/portfolios/rebalancings/executions/{execution.id}",
            )
        await begun(execution, shares=1)
        return answer

    @router.get("", summary="List rebalancings")
    async def list_(caller: Reader, page: NewestFirst) -> Listing[ExecutionResource]:
        """List executions, newest first."""
        part = await use_cases.page_of_executions(database, caller.client_id, page)
        return Listing[ExecutionResource].showing(page, part.of(ExecutionResource.of))

    @router.get("/{execution_id}", summary="Read a rebalancing", responses=refuses(ExecutionNotFound))
    async def show(execution_id: UUID, caller: Reader) -> ProgressResource:
        """Show an execution, and how many of its orders stand where."""
        return ProgressResource.showing(await use_cases.show_progress(database, caller.client_id, execution_id))

    @router.get(
        "/{execution_id}/orders", summary="List the orders of a rebalancing", responses=refuses(ExecutionNotFound)
    )
    async def list_orders(
        execution_id: UUID, caller: Reader, page: OldestFirst, account_id: Account = None, status: Status = None
    ) -> Listing[OrderResource]:
        """List the orders of an execution."""
        execution = await use_cases.show_execution(database, caller.client_id, execution_id)
        filters = Filters(account_id, status=status, execution_id=execution.id)
        return await listed(database, caller.client_id, filters, page)

    @router.delete(
        "/{execution_id}", status_code=204, summary="Cancel a rebalancing", responses=refuses(ExecutionNotFound)
    )
    async def cancel(request: Request, execution_id: UUID, caller: Admin) -> None:
        """Cancel those orders of an execution that are still NEW; again and again, if need be."""
        cause = cause_of(request, caller)
        async with database.unit_of_work(cause) as work:
            execution = await use_cases.cancel_rebalancing(work, cause, execution_id)
        await begun(execution, shares=_SHARES_AT_ONCE)

    async def begun(execution: Execution, *, shares: int) -> None:
        """Begin the work that is committed already; what this does not come to is the worker's."""
        try:
            for _ in range(shares):
                if not await use_cases.work_on(database, execution, waits=True):
                    return
        except INFRASTRUCTURE as fault:
            _log.warning("left to the worker", execution_id=str(execution.id), fault=repr(fault))
        wake()

    return router
