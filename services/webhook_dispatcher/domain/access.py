"""What an endpoint is approached with besides the signed request: headers, credentials, certificates of its own.

All of it may be secret, so it is kept sealed; its client sees the names of headers and who it signs in as.
"""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from shared.kit.refusals import FieldError, Unprocessable

#: what stands for every value of a header where it is shown
MASK: Final = "********"
MOST_HEADERS: Final = 20
#: of names and values together
MOST_HEADER_BYTES: Final = 4096
#: RFC 9110: a token; and visible characters with blanks between them
HEADER_NAME: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"
HEADER_VALUE: Final = r"^[!-~]([ -~]{0,1022}[!-~])?$"
LONGEST_BUNDLE: Final = 32 * 1024
_MOST_CERTIFICATES: Final = 20
_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*")

#: What the signature, the connection and the body say for themselves.
_OURS: Final = frozenset(
    (
        *("accept", "accept-encoding", "connection", "expect", "forwarded", "host", "keep-alive", "te", "traceparent"),
        *("tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent", "via"),
    )
)
_OUR_PREFIXES: Final = ("webhook-", "content-", "proxy-", "sec-", "x-forwarded-")


class HeadersNotAllowed(Unprocessable):
    """These headers cannot be sent."""


class CertificatesNotUsable(Unprocessable):
    """The CA bundle holds no certificates that could be used."""


@dataclass(frozen=True)
class BasicAuth:
    """A name and a password, as RFC 7617 sends them."""

    username: str
    password: str = field(repr=False)

    def shown(self) -> dict[str, Any]:
        """What may be seen of it."""
        return {"type": "basic", "username": self.username}


@dataclass(frozen=True)
class OAuth2:
    """Client credentials (RFC 6749, section 4.4), for which a token is fetched."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None

    def shown(self) -> dict[str, Any]:
        """What may be seen of it."""
        return {"type": "oauth2", "token_url": self.token_url, "client_id": self.client_id, "scope": self.scope}


Auth = BasicAuth | OAuth2


@dataclass(frozen=True)
class Access:
    """What an endpoint is approached with."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    auth: Auth | None = None
    #: certificates in PEM that are trusted in place of the public authorities
    ca_bundle: str | None = field(default=None, repr=False)

    def to_bytes(self) -> bytes:
        """Write it down, to be sealed."""
        auth = None if self.auth is None else {**self.auth.shown(), **vars(self.auth)}
        return orjson.dumps({"headers": self.headers, "auth": auth, "ca_bundle": self.ca_bundle})

    @classmethod
    def from_bytes(cls, written: bytes) -> "Access":
        """Read what `to_bytes` has written."""
        read = orjson.loads(written)
        return cls(read["headers"], _auth_in(read["auth"]), read["ca_bundle"])


def _auth_in(read: dict[str, Any] | None) -> Auth | None:
    if read is None:
        return None
    kind = read.pop("type")
    return BasicAuth(**read) if kind == "basic" else OAuth2(**read)


def merged_headers(before: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """Give the headers after a merge patch: None takes one away; names are the same in any case."""
    after = {name.lower(): (name, value) for name, value in before.items()}
    for name, value in patch.items():
        if value is None:
            after.pop(name.lower(), None)
        else:
            after[name.lower()] = (name, value)
    return dict(after.values())


def check_headers(headers: Mapping[str, str], auth: Auth | None) -> None:
    """Refuse headers that are not the client's to set, or too much of them; raises HeadersNotAllowed."""
    errors = [FieldError(f"body.config.headers{place}", fault) for place, fault in _faults_of(headers, auth)]
    if errors:
        raise HeadersNotAllowed(errors=errors)


def _faults_of(headers: Mapping[str, str], auth: Auth | None) -> Iterator[tuple[str, str]]:
    if len(headers) > MOST_HEADERS:
        yield "", f"has more than {MOST_HEADERS} headers"
    if sum(len(name) + len(value) for name, value in headers.items()) > MOST_HEADER_BYTES:
        yield "", f"has more than {MOST_HEADER_BYTES} bytes"
    if len({name.lower() for name in headers}) < len(headers):
        yield "", "names a header more than once"
    for name, value in headers.items():
        if name.lower() in _OURS or name.lower().startswith(_OUR_PREFIXES):
            yield f".{name}", "is set by the dispatcher"
        elif name.lower() == "authorization" and auth is not None:
            yield f".{name}", "is set by config.auth"
        elif value == MASK:
            yield f".{name}", "is the mask that stands for values where they are shown"


def fingerprints_of(bundle: str) -> list[str]:
    """The SHA-256 fingerprints of the certificates in a PEM bundle; raises CertificatesNotUsable."""
    try:
        return [each.fingerprint(SHA256()).hex() for each in _certificates_in(bundle)]
    except ValueError as fault:
        error = FieldError("body.config.ca_bundle", "must hold 1 to 20 certificates in PEM, and nothing else")
        raise CertificatesNotUsable(errors=[error]) from fault


def _certificates_in(bundle: str) -> Sequence[x509.Certificate]:
    # Nothing but certificates: a private key that slipped in would be kept.
    if _PEM.sub("", bundle).strip():
        raise ValueError("there is something else")
    found = x509.load_pem_x509_certificates(bundle.encode())
    if len(found) > _MOST_CERTIFICATES:
        raise ValueError("there are too many")
    try:
        trust_in(bundle)
    except ssl.SSLError as fault:
        raise ValueError("OpenSSL does not take it") from fault
    return found


def trust_in(bundle: str) -> ssl.SSLContext:
    """A context that trusts the certificates of a bundle and no others, and always verifies."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=bundle)
    return context
