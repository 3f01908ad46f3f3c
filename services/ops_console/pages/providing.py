"""Signing in with an OpenID provider: there and back, held together by a signed cookie that lasts for ten minutes."""

import hmac
import secrets
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter
from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.ops_console.clients import NotAnOperator, Provider, Trouble
from shared.kit.logs import get_logger

from .signing_in import CALLBACK, PROVIDER, Access, form, next_of, signed_in

_COOKIE: Final = "portfolio_bus_sign_in"
_SECONDS: Final = 600
_LONGEST: Final = 4_096

_log = get_logger("console")


def provider_routes(access: Access, provider: Provider) -> APIRouter:
    """To the provider, and back from it."""
    router = APIRouter(include_in_schema=False)
    # Signed, since the browser carries it; another salt than that of sessions, so that neither passes for the other.
    signer = URLSafeTimedSerializer(access.key, salt="on the way to the provider")

    @router.get(PROVIDER)
    async def leave(request: Request) -> Response:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        try:
            url = await provider.sign_in_url(state, nonce, verifier)
        except Trouble as trouble:
            return form(request, access, str(trouble), HTTPStatus.BAD_GATEWAY)
        answer = RedirectResponse(url, HTTPStatus.SEE_OTHER)
        kept = signer.dumps({"state": state, "nonce": nonce, "verifier": verifier, "next": next_of(request)})
        answer.set_cookie(
            *(_COOKIE, str(kept)), max_age=_SECONDS, httponly=True, samesite="lax", secure=access.secure, path=PROVIDER
        )
        return answer

    @router.get(CALLBACK)
    async def come_back(request: Request) -> Response:
        kept = _kept(signer, request)
        if kept is None:
            return form(request, access, "Signing in took too long, or began elsewhere.", HTTPStatus.BAD_REQUEST)
        code = request.query_params.get("code", "")
        if not code or len(code) > _LONGEST:
            return form(request, access, "The provider has not let you in.", HTTPStatus.FORBIDDEN)
        try:
            name = await provider.operator(code, kept["nonce"], kept["verifier"])
        except Trouble as trouble:
            _log.warning("sign-in refused", audit=True, by_provider=True)
            status = HTTPStatus.FORBIDDEN if isinstance(trouble, NotAnOperator) else HTTPStatus.BAD_GATEWAY
            return form(request, access, str(trouble), status)
        answer = signed_in(access, name, kept["next"])
        answer.delete_cookie(_COOKIE, path=PROVIDER, httponly=True, samesite="lax", secure=access.secure)
        return answer

    return router


def _kept(signer: URLSafeTimedSerializer, request: Request) -> dict[str, Any] | None:
    """What this browser left with, if it has come back from there in time."""
    try:
        kept: dict[str, Any] = signer.loads(request.cookies.get(_COOKIE, ""), max_age=_SECONDS)
    except BadData:
        return None
    state = request.query_params.get("state", "")
    return kept if hmac.compare_digest(state.encode(), str(kept["state"]).encode()) else None
