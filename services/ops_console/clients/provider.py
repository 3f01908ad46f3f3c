"""An OpenID provider that says who an operator is: authorization code flow with PKCE (OpenID Connect Core, RFC 7636).

Nothing of it is trusted that is not signed: its answer about the operator counts only once the signature, the issuer,
the audience, the time and the nonce of this sign-in hold.
"""

import base64
import hashlib
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from joserfc import jws, jwt
from joserfc.errors import JoseError, SecurityWarning

from shared.kit.auth import RemoteKeys

from .services import Trouble

_ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "Ed25519", "PS256")
_SECONDS: Final = 10.0
_LIMIT: Final = 256 * 1024
_KNOWN_FOR: Final = 3600.0
_LEEWAY: Final = 10


class NotAnOperator(Trouble):
    """The provider knows who it is, and that is nobody who may sign in here."""


@dataclass(frozen=True)
class Registration:
    """How the provider knows this console, and whom of its people may sign in."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    #: where the provider sends people back to
    redirect_uri: str
    #: the claim that says who is an operator, and what it has to be, or to hold
    claim: str
    value: str


@dataclass(frozen=True)
class _Addresses:
    authorization: str
    token: str
    keys: RemoteKeys


class Provider:
    """The provider, asked where its pages are with the first sign-in and again every hour."""

    def __init__(self, registration: Registration) -> None:
        """Nothing is asked before somebody signs in."""
        self._ours = registration
        self._addresses: _Addresses | None = None
        self._ask_at = 0.0

    @property
    def host(self) -> str:
        """What people know it by."""
        return urlsplit(self._ours.issuer).netloc

    async def sign_in_url(self, state: str, nonce: str, verifier: str) -> str:
        """Where a browser is sent to; raises Trouble where the provider does not answer."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._ours.client_id,
            "redirect_uri": self._ours.redirect_uri,
            "scope": "openid profile email",
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = (await self._known()).authorization
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def operator(self, code: str, nonce: str, verifier: str) -> str:
        """The name of the operator who has brought `code`; raises NotAnOperator, and Trouble for all else."""
        claims = await self._claims(await self._id_token(code, verifier), nonce)
        held = claims.get(self._ours.claim)
        if self._ours.value not in (held if isinstance(held, list) else [held]):
            message = "You may not sign in here."
            raise NotAnOperator(message)
        return str(claims.get("email") or claims.get("preferred_username") or claims["sub"])[:200]

    async def _id_token(self, code: str, verifier: str) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._ours.redirect_uri,
            "code_verifier": verifier,
        }
        # RFC 6749, section 2.3.1: both are form-encoded first.
        login = f"{quote(self._ours.client_id, safe='')}:{quote(self._ours.client_secret, safe='')}"
        headers = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
        answer = await self._asked("POST", (await self._known()).token, data=form, headers=headers)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise _trouble("does not say who you are")
        return token

    async def _claims(self, token: str, nonce: str) -> Mapping[str, Any]:
        wanted = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY,
            iss={"essential": True, "value": self._ours.issuer},
            aud={"essential": True, "value": self._ours.client_id},
            exp={"essential": True},
            nonce={"essential": True, "value": nonce},
            sub={"essential": True},
        )
        try:
            kid = jws.extract_compact(token.encode()).headers().get("kid")
            key = await (await self._known()).keys.find(str(kid))
            if key is None:
                raise _trouble("has signed with a key that it does not publish")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)
                # The algorithms are the key's: the token has no say.
                claims = jwt.decode(token, key.key, algorithms=list(key.algorithms)).claims
            wanted.validate(claims)
        except (JoseError, ValueError, TypeError, AttributeError) as fault:
            raise _trouble("says something that does not hold") from fault
        if claims.get("azp", self._ours.client_id) != self._ours.client_id:
            raise _trouble("says it to somebody else")
        return claims

    async def _known(self) -> _Addresses:
        if self._addresses is None or time.monotonic() > self._ask_at:
            told = await self._asked("GET", f"{self._ours.issuer.rstrip('/')}/.well-known/openid-configuration")
            if told.get("issuer") != self._ours.issuer:
                raise _trouble("calls itself otherwise")
            found = [told.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            scheme = f"{urlsplit(self._ours.issuer).scheme}://"
            authorization, token, keys = (str(each) for each in found)
            if not all(each.startswith(("https://", scheme)) for each in (authorization, token, keys)):
                raise _trouble("does not say where its pages are")
            self._addresses = _Addresses(authorization, token, RemoteKeys(keys, algorithms=_ALGORITHMS))
            self._ask_at = time.monotonic() + _KNOWN_FOR
        return self._addresses

    async def _asked(self, method: str, url: str, **sent: Any) -> dict[str, Any]:  # noqa: ANN401 - aiohttp's
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, url, allow_redirects=False, raise_for_status=True, **sent) as response,
            ):
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _LIMIT:
                        raise _trouble("says too much")
                told = json.loads(body)
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            # TimeoutError is an OSError. The fault's own text may hold what was sent.
            raise _trouble("does not answer as it should") from fault
        return told if isinstance(told, dict) else {}


def _trouble(does: str) -> Trouble:
    return Trouble(f"The provider {does}. Try again, or sign in with the operator token.")
