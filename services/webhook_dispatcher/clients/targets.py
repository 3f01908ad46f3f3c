"""Where a request goes, and the part of its head that is the same each time: worked out once for each URL."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_KEPT: Final = 2000
#: what may stand in a path or a query as it is; what is encoded already stays so
_PLAIN: Final = "!#$%&'()*+,/:;=?@[]~"
_SAME_EACH_TIME: Final = (
    "Content-Type: application/json\r\n"
    "User-Agent: portfolio-bus-webhooks/1\r\n"
    "Accept: */*\r\n"
    "Accept-Encoding: identity\r\n"
)


class Origin(NamedTuple):
    """Whom a connection leads to."""

    host: str
    port: int
    tls: bool


@dataclass(frozen=True, slots=True)
class Target:
    """An endpoint's URL as a request needs it."""

    origin: Origin
    _beginning: str = field(repr=False)

    def request(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The whole request; raises ValueError where a header would end its line."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if not lines.count("\r") == lines.count("\n") == len(headers) or "\0" in lines:
            raise ValueError("a header holds a control character")
        head = f"{self._beginning}{lines}Content-Length: {len(body)}\r\n\r\n"
        return head.encode() + body


@lru_cache(maxsize=_KEPT)
def target_of(url: str) -> Target:
    """Take a URL apart; raises ValueError for one that no request can go to."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("not a URL with http:// or https:// and a host")
    usual = _PORTS[parts.scheme]
    port = usual if parts.port is None else parts.port
    path = quote(parts.path or "/", safe=_PLAIN) + (f"?{quote(parts.query, safe=_PLAIN)}" if parts.query else "")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    host = name if port == usual else f"{name}:{port}"
    beginning = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n{_SAME_EACH_TIME}"
    return Target(Origin(parts.hostname, port, parts.scheme == "https"), beginning)
