"""Tokens of an external OpenID provider: taken by configuration, and only as they are configured."""

import base64
import hmac
import json
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import uuid4

import aiohttp
import pytest
from fastapi import APIRouter, Depends, FastAPI, Response
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from services.config_service.app import build as build_config_service
from services.config_service.settings import Settings as ConfigSettings
from shared.kit.auth import LocalKeys, Principal, SigningKey, TokenIssuer, requires, trusted_issuers
from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness
from shared.kit.refusals import Unauthorised, Unavailable
from shared.kit.settings import KitSettings, settings_or_exit

CLIENT = uuid4()
ISSUER, AUDIENCE = "https://login.example.com/realms/house", "https://api.example.com"
OWN = TokenIssuer([SigningKey.generate()])
Key = RSAKey | ECKey | OKPKey


def a_key(algorithm: str, kid: str | None = None) -> Key:
    parameters: Any = {"kid": kid or f"{algorithm}-1"}
    match algorithm[:2]:
        case "RS" | "PS":
            return RSAKey.generate_key(2048, parameters)
        case "ES":
            curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}[algorithm]
            return ECKey.generate_key(curve, parameters)
    return OKPKey.generate_key("Ed25519", parameters)


class Provider:
    """An OpenID provider: signs tokens, and publishes its keys over HTTP."""

    def __init__(self, *keys: Key) -> None:
        self.keys = list(keys)
        self.asked = 0
        self.away = False
        self.app = FastAPI()
        self.app.get("/jwks")(self._jwks)

    def token(self, algorithm: str, key: Key | None = None, **changed: Any) -> str:
        """A token that is right but for what is changed; a claim of None is left out."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(CLIENT),
            "iat": now,
            "exp": now + 300,
            "scope": "orders:read",
        }
        claims = {name: value for name, value in (claims | changed).items() if value is not None}
        signing = key or self.keys[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)
            header = {"alg": algorithm, "kid": signing.kid}
            return jwt.encode(header, claims, signing, algorithms=[algorithm])

    async def _jwks(self) -> Response:
        self.asked += 1
        if self.away:
            return Response(status_code=503)
        # As providers publish them: other keys stand beside those that sign.
        others = [OctKey.generate_key(256).as_dict(), {"kty": "RSA", "use": "enc", "kid": "e"}, 5]
        return Response(json.dumps({"keys": [*others, *(key.as_dict(private=False) for key in self.keys)]}))


def settings(url: str, **changed: Any) -> KitSettings:
    told = {
        "database_url": "postgresql://nobody@127.0.0.1:1/none",
        "kafka": "127.0.0.1:1",
        "issuer_url": "http://127.0.0.1:1",
        "oidc_issuer": ISSUER,
        "oidc_audience": AUDIENCE,
        "oidc_jwks_url": f"{url}/jwks",
    }
    return KitSettings.model_validate({**told, **changed})


@asynccontextmanager
async def verifying(serve: Any, provider: Provider, **changed: Any) -> AsyncIterator[Any]:
    async with serve(provider.app) as url:
        verifier, _ = trusted_issuers(settings(url, **changed), LocalKeys(OWN.jwks()))
        yield verifier


@pytest.mark.parametrize("algorithm", ["RS256", "PS384", "ES256", "ES512", "EdDSA", "Ed25519"])
async def test_a_token_of_the_provider_is_taken_whatever_it_signs_with_if_that_is_allowed(
    serve: Any, algorithm: str
) -> None:
    provider = Provider(a_key(algorithm))
    async with verifying(serve, provider, oidc_algorithms=algorithm) as verifier:
        assert await verifier.verify(provider.token(algorithm)) == Principal(CLIENT, frozenset({"orders:read"}))


async def test_an_algorithm_that_is_not_listed_is_refused_although_its_key_is_published(serve: Any) -> None:
    provider = Provider(a_key("RS256"), a_key("ES384"))
    async with verifying(serve, provider, oidc_algorithms="RS256") as verifier:
        assert await verifier.verify(provider.token("RS256"))
        for algorithm, key in (("PS256", provider.keys[0]), ("RS512", provider.keys[0]), ("ES384", provider.keys[1])):
            with pytest.raises(Unauthorised):
                await verifier.verify(provider.token(algorithm, key))


def _segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_neither_no_signature_nor_one_made_with_the_public_key_gets_through(serve: Any) -> None:
    provider = Provider(a_key("RS256"))
    async with verifying(serve, provider) as verifier:
        assert await verifier.verify(provider.token("RS256"))
        claims, (key,) = provider.token("RS256").split(".")[1], provider.keys
        forged = [f"{_segment({'alg': none, 'kid': key.kid})}.{claims}." for none in ("none", "None", "NONE", "")]
        for secret in (
            key.as_pem(private=False),
            key.as_pem(private=False).strip(),
            json.dumps(key.as_dict()).encode(),
        ):
            signed = f"{_segment({'alg': 'HS256', 'kid': key.kid})}.{claims}"
            forged.append(f"{signed}.{_segment(hmac.digest(secret, signed.encode(), 'sha256'))}")
        # A key that the token brings along, or names, counts for nothing.
        own = a_key("RS256", key.kid)
        for header in ({"jwk": own.as_dict(private=False)}, {"jku": "http://127.0.0.1/jwks"}, {"x5u": "http://x"}):
            told = {"alg": "RS256", "kid": key.kid, **header}
            read = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
            forged.append(jwt.encode(told, read, own, algorithms=["RS256"]))
        for token in forged:
            with pytest.raises(Unauthorised):
                await verifier.verify(token)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://login.example.com/realms/other"},
        {"iss": f"{ISSUER}/"},
        {"iss": None},
        {"iss": [ISSUER]},
        {"iss": "portfolio-bus"},
        {"aud": "https://elsewhere.example.com"},
        {"aud": None},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"nbf": 4_000_000_000},
        {"iat": 4_000_000_000},
        {"sub": "a-service-account"},
        {"sub": None},
        {"scope": ["orders:read"]},
        {"scope": None, "scp": [5]},
    ],
    ids=str,
)
async def test_a_claim_that_is_not_right_is_refused(serve: Any, claims: dict[str, Any]) -> None:
    provider = Provider(a_key("ES256"))
    async with verifying(serve, provider) as verifier:
        with pytest.raises(Unauthorised):
            await verifier.verify(provider.token("ES256", **claims))


@pytest.mark.parametrize(
    "claims", [{"scope": "orders:read"}, {"scope": None, "scp": "orders:read"}, {"scope": None, "scp": ["orders:read"]}]
)
async def test_scopes_are_found_in_either_claim(serve: Any, claims: dict[str, Any]) -> None:
    provider = Provider(a_key("ES256"))
    async with verifying(serve, provider) as verifier:
        assert (await verifier.verify(provider.token("ES256", **claims))).scopes == {"orders:read"}


async def test_the_client_is_in_the_claim_that_is_configured(serve: Any) -> None:
    provider = Provider(a_key("ES256"))
    named: dict[str, Any] = {"sub": "a-service-account", "azp": str(CLIENT), "aud": ["account", AUDIENCE]}
    async with verifying(serve, provider, oidc_client_claim="azp") as verifier:
        assert (await verifier.verify(provider.token("ES256", **named))).client_id == CLIENT
        with pytest.raises(Unauthorised):
            await verifier.verify(provider.token("ES256"))


async def test_our_own_tokens_are_taken_beside_the_providers_unless_that_is_switched_off(serve: Any) -> None:
    provider, own = Provider(a_key("ES256")), OWN.issue(CLIENT, ["orders:read"])
    async with verifying(serve, provider) as verifier:
        assert await verifier.verify(own) == await verifier.verify(provider.token("ES256"))
    async with verifying(serve, provider, own_tokens=False) as verifier:
        assert await verifier.verify(provider.token("ES256"))
        with pytest.raises(Unauthorised):
            await verifier.verify(own)


async def test_no_issuer_can_speak_for_the_other(serve: Any) -> None:
    """The provider's key signs in our name, and ours in the provider's."""
    signing = SigningKey.generate()
    provider = Provider(a_key("ES256"))
    ours = TokenIssuer([signing])
    async with serve(provider.app) as url:
        verifier, _ = trusted_issuers(settings(url), LocalKeys(ours.jwks()))
        for token in (
            provider.token("ES256", iss="portfolio-bus", aud="portfolio-bus"),
            provider.token("ES256", signing.key),
        ):
            with pytest.raises(Unauthorised):
                await verifier.verify(token)


async def test_a_new_key_of_the_provider_is_found_and_invented_ones_do_not_make_us_flood_it(serve: Any) -> None:
    provider = Provider(a_key("RS256"))
    async with verifying(serve, provider) as verifier:
        assert await verifier.verify(provider.token("RS256"))
        assert provider.asked == 1
        invented = [a_key("ES256", f"invented-{number}") for number in range(20)]
        for key in invented:
            with pytest.raises(Unauthorised):
                await verifier.verify(provider.token("ES256", key))
        assert provider.asked == 1
        _let_it_ask_again(verifier)
        provider.keys.insert(0, a_key("RS256", "next"))
        assert await verifier.verify(provider.token("RS256"))
        assert provider.asked == 2
        assert await verifier.verify(provider.token("RS256", provider.keys[1])), "the key before is still published"


def _let_it_ask_again(verifier: Any) -> None:
    """As if the ten seconds between two questions were over."""
    verifier._by_issuer[ISSUER]._keys._asked_at = None


async def test_a_token_is_refused_once_its_keys_name_is_that_of_another_key_even_if_it_was_verified_before(
    serve: Any,
) -> None:
    provider = Provider(a_key("ES256", "the key"))
    async with serve(provider.app) as url:
        verifier, (theirs,) = trusted_issuers(settings(url), LocalKeys(OWN.jwks()))
        token = provider.token("ES256")
        assert await verifier.verify(token)
        provider.keys = [a_key("ES256", "the key")]
        assert await theirs.refresh()
        with pytest.raises(Unauthorised):
            await verifier.verify(token)
        assert await verifier.verify(provider.token("ES256"))


async def test_an_outage_of_the_provider_is_bridged_by_the_keys_that_are_known(serve: Any) -> None:
    provider = Provider(a_key("RS256"))
    async with verifying(serve, provider) as verifier:
        assert await verifier.verify(provider.token("RS256"))
        provider.away = True
        _let_it_ask_again(verifier)
        with pytest.raises(Unauthorised):
            await verifier.verify(provider.token("RS256", a_key("RS256", "unknown")))
        assert provider.asked == 2
        assert await verifier.verify(provider.token("RS256", scope="accounts:read"))


async def test_before_its_keys_are_known_the_answer_is_to_come_back_and_our_own_clients_do_not_notice(
    serve: Any,
) -> None:
    provider = Provider(a_key("RS256"))
    provider.away = True
    async with verifying(serve, provider) as verifier:
        assert verifier.ready
        assert await verifier.verify(OWN.issue(CLIENT, []))
        with pytest.raises(Unavailable):
            await verifier.verify(provider.token("RS256"))


async def test_a_key_that_is_too_small_is_passed_over(serve: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        small = RSAKey.generate_key(1024, {"kid": "small"})
    provider = Provider(small, a_key("ES256"))
    async with verifying(serve, provider) as verifier:
        with pytest.raises(Unauthorised):
            await verifier.verify(provider.token("RS256", small))
        assert await verifier.verify(provider.token("ES256", provider.keys[1]))


async def test_a_request_with_the_providers_token_is_let_in_over_http(serve: Any) -> None:
    router = APIRouter()

    @router.get("/orders")
    async def orders(caller: Annotated[Any, Depends(requires("orders:read"))]) -> dict[str, str]:
        return {"client_id": str(caller.client_id)}

    provider = Provider(a_key("RS256"))
    async with verifying(serve, provider) as verifier, aiohttp.ClientSession() as session:
        common = {"liveness": Liveness(), "readiness": Readiness(), "verifier": verifier}
        async with serve(create_app(title="orders", version="1", routers=[router], **common)) as url:
            for token, status in (
                (provider.token("RS256"), 200),
                (provider.token("RS256", scope="webhooks:read"), 403),
            ):
                async with session.get(f"{url}/orders", headers={"Authorization": f"Bearer {token}"}) as answer:
                    assert answer.status == status


async def test_config_service_itself_takes_the_providers_tokens(serve: Any) -> None:
    provider = Provider(a_key("ES256"))
    async with serve(provider.app) as url:
        told = settings(url).model_dump() | {"secret_keys": "A" * 43 + "="}
        service = build_config_service(ConfigSettings.model_validate(told))
        assert service.verifier is not None
        assert (await service.verifier.verify(provider.token("ES256"))).client_id == CLIENT
        assert len(service.token_keys) == 1, "its keys are kept fresh"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"OIDC_ALGORITHMS": "none"}, "PORTFOLIO_BUS_OIDC_ALGORITHMS"),
        ({"OIDC_ALGORITHMS": "RS256,HS256"}, "PORTFOLIO_BUS_OIDC_ALGORITHMS"),
        ({"OIDC_ALGORITHMS": ""}, "PORTFOLIO_BUS_OIDC_ALGORITHMS"),
        ({"OIDC_JWKS_URL": "file:///etc/passwd"}, "PORTFOLIO_BUS_OIDC_JWKS_URL"),
        ({"OIDC_ISSUER": ISSUER}, "set together"),
        ({"OIDC_AUDIENCE": AUDIENCE}, "set together"),
        ({"OWN_TOKENS": "false"}, "no issuer at all"),
    ],
    ids=str,
)
def test_settings_that_would_let_anybody_in_or_nobody_are_refused(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], said: str
) -> None:
    good = {"DATABASE_URL": "postgresql://u@h/d", "KAFKA": "h:1", "ISSUER_URL": "http://h"}
    for name, value in (good | changed).items():
        monkeypatch.setenv(f"PORTFOLIO_BUS_{name}", value)
    with pytest.raises(SystemExit, match=said):
        settings_or_exit(KitSettings)
