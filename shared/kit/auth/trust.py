"""Whose tokens are taken: config_service's own, and those of an OpenID provider where the settings name one."""

from shared.kit.settings import KitSettings

from .keys import KeySource
from .remote_keys import RemoteKeys
from .verifier import AnyIssuer, TokenVerifier, Verifier


def trusted_issuers(settings: KitSettings, own: KeySource) -> tuple[Verifier, list[RemoteKeys]]:
    """Give what verifies tokens, and the keys that must be kept fresh for it; `own` are those of config_service."""
    if settings.oidc_issuer is None:
        return TokenVerifier(own), _remote(own)
    theirs = RemoteKeys(settings.oidc_jwks_url or "", algorithms=settings.oidc_algorithms_allowed)
    external = TokenVerifier(
        theirs,
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience or "",
        client_claim=settings.oidc_client_claim,
    )
    if not settings.own_tokens:
        return external, [theirs]
    return AnyIssuer([TokenVerifier(own), external]), [*_remote(own), theirs]


def _remote(keys: KeySource) -> list[RemoteKeys]:
    return [keys] if isinstance(keys, RemoteKeys) else []
