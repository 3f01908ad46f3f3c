"""What a route asks of its caller."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Security
from fastapi.security import OAuth2
from starlette.requests import Request

from shared.kit.refusals import Forbidden, Unauthorised

from .verifier import Principal, TokenVerifier

_BEARER = "bearer"


def requires(scope: str) -> Callable[..., Awaitable[Principal]]:
    """Make the dependency that gives the caller's principal if it has `scope` (such as `accounts:read`).

    Raises Unauthorised without a valid token and Forbidden, naming the scope, without the scope.
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
        verifier: TokenVerifier = request.app.state.verifier
        caller = await verifier.verify(_token_in(authorization))
        request.state.principal = caller
        if not caller.may(scope):
            detail = f"The scope {scope} is needed."
            raise Forbidden(detail)
        return caller

    return principal


def _token_in(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != _BEARER or not token:
        raise Unauthorised
    return token.strip()
