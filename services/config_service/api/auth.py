"""Tokens for clients (OAuth 2.0 client credentials, RFC 6749 section 4.4) and the keys to verify them with."""

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import unquote_plus

from fastapi import APIRouter, Form, Header, Response
from pydantic import BaseModel, ConfigDict, Field

from services.config_service import use_cases
from services.config_service.domain import Credentials, CredentialsWrong, ScopesNotGranted, guess_slot
from shared.kit.allowances import Allowances, AllowanceUsedUp
from shared.kit.auth import TokenIssuer
from shared.kit.http import refuses
from shared.kit.refusals import FieldError, InvalidRequest
from shared.kit.unit_of_work import Database


class TokenRequest(BaseModel):
    """The form of a request for a token."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    grant_type: Literal["client_credentials"] = Field(description="The only grant there is")
    client_id: str | None = Field(
        None,
        max_length=200,
        description="The client, unless HTTP Basic names it",
        examples=["0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e"],
    )
    client_secret: str | None = Field(
        None,
        max_length=200,
        description="Its secret, unless HTTP Basic has it",
        examples=["eW91IHdpbGwgbm90IGd1ZXNzIHRoaXMgb25lLCBJIGhvcGU"],
    )
    scope: str = Field(
        "",
        max_length=1000,
        description="Scopes parted by spaces; all that the client has if left out",
        examples=["accounts:admin portfolios:admin"],
    )


class TokenShown(BaseModel):
    """A token for the header `Authorization: Bearer …`."""

    access_token: str = Field(description="The token, a signed JWT", examples=["eyJhbGciOiJFUzI1NiJ9.e30.c2ln"])
    token_type: Literal["Bearer"] = Field("Bearer", description="How to send it")
    expires_in: int = Field(description="Seconds for which it is good", examples=[600])
    scope: str = Field(description="What it allows, parted by spaces", examples=["accounts:admin portfolios:admin"])


class KeysShown(BaseModel):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, object]] = Field(description="The public keys, the one that signs first")


def auth_routes(database: Database, issuer: Callable[[], TokenIssuer], lifetime: int, guesses: Allowances) -> APIRouter:
    """The routes under /auth; tokens are good for `lifetime` seconds, and `guesses` bound the tries at a secret."""
    router = APIRouter(prefix="/auth", tags=["auth"])

    @router.post(
        "/token",
        summary="Get an access token",
        responses=refuses(CredentialsWrong, ScopesNotGranted, AllowanceUsedUp),
    )
    async def token(
        form: Annotated[TokenRequest, Form()],
        response: Response,
        authorization: Annotated[str | None, Header(description="HTTP Basic, instead of the form's fields")] = None,
    ) -> TokenShown:
        shown = _credentials_in(form, authorization)
        slot = guess_slot(shown.client_id)
        await guesses.take(slot)
        async with database.reading() as connection:
            client_id, scopes = await use_cases.recognise_client(connection, shown, frozenset(form.scope.split()))
        # The right secret was no guess: whoever has it may come as often as it likes.
        guesses.give_back(slot)
        response.headers["Cache-Control"] = "no-store"
        signed = issuer().issue(client_id, scopes, lifetime)
        return TokenShown(access_token=signed, expires_in=lifetime, scope=" ".join(sorted(scopes)))

    @router.get("/verify_keys", summary="Get the keys that tokens are verified with")
    async def verify_keys() -> KeysShown:
        return KeysShown.model_validate(issuer().jwks())

    return router


def _credentials_in(form: TokenRequest, authorization: str | None) -> Credentials:
    if authorization is None:
        return Credentials(form.client_id or "", form.client_secret or "")
    if form.client_id is not None or form.client_secret is not None:
        raise InvalidRequest(errors=[FieldError("body.client_id", "the credentials stand in Authorization already")])
    return _basic(authorization)


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    try:
        client_id, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as fault:
        raise CredentialsWrong from fault
    if scheme.lower() != "basic" or not colon:
        raise CredentialsWrong
    return Credentials(unquote_plus(client_id), unquote_plus(secret))
