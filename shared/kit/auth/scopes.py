"""What a route asks of its caller."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID

from fastapi import Security
from fastapi.security import OAuth2
from starlette.requests import Request

from shared.kit.allowances import Allowances, AllowanceUsedUp
from shared.kit.refusals import Forbidden, Unauthorised

from .verifier import Principal, Verifier

_BEARER = "bearer"


def requires(scope: str, *, without_token: UUID | None = None) -> Callable[..., Awaitable[Principal]]:
    """Make the dependency that gives the caller's principal if it has `scope` (such as `accounts:read`).

    Requests without the header Authorization act as the client `without_token`, if it is given; a token that is sent is
    checked all the same. Raises Unauthorised without a valid token, AllowanceUsedUp if the client asks too often, and
    Forbidden, naming the scope, without the scope.
    """
    # Only for the OpenAPI document: it shows the scheme, and hands on the header.
    scheme = OAuth2(
        flows={"clientCredentials": {"tokenUrl": "/auth/token", "scopes": {}}},
        scheme_name="client_credentials",
        auto_error=False,
    )

    async def principal(
        request: Request,
        authorization: Annotated[str | None, Security(scheme, scopes=[scope])],
    ) -> Principal:
        if without_token is not None and "authorization" not in request.headers:
            caller = Principal(without_token, frozenset({scope}))
        else:
            verifier: Verifier = request.app.state.verifier
            caller = await verifier.verify(_token_in(authorization))
        request.state.principal = caller
        await charge(request, caller.client_id)
        if not caller.may(scope):
            detail = f"The scope {scope} is needed."
            raise Forbidden(detail)
        return caller

    return principal


async def charge(request: Request, client_id: UUID) -> None:
    """Take one request out of the client's allowance, where the application keeps any. Raises AllowanceUsedUp."""
    allowances: Allowances | None = request.app.state.allowances
    if allowances is None:
        return
    try:
        request.state.allowed = await allowances.take(str(client_id))
    except AllowanceUsedUp as refusal:
        request.state.allowed = refusal.standing
        raise


def _token_in(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != _BEARER or not token:
        raise Unauthorised
    return token.strip()
