"""Where deliveries may go: not into networks that only this machine can reach, unless the operator allows them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

from shared.kit.refusals import FieldError, InvalidRequest, Unprocessable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST_URL = 2048
_USUAL_PORT: Final = {"http": 80, "https": 443}

_LABEL = "[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
_HOST = rf"({_LABEL}\.){{0,120}}[A-Za-z_][A-Za-z0-9_-]{{0,62}}\.?"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_GROUP = "[0-9A-Fa-f]{1,4}"
_GROUPS = "|".join(
    [
        rf"({_GROUP}:){{7}}{_GROUP}",
        rf"({_GROUP}:){{1,7}}:",
        *(rf"({_GROUP}:){{1,{7 - behind}}}(:{_GROUP}){{1,{behind}}}" for behind in range(1, 7)),
        rf":((:{_GROUP}){{1,7}}|:)",
    ]
)
_PORT = "(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5]?[0-9]{1,4})"
#: The URLs that can be understood, for documents: a name, or an address in its plain notation.
URL_PATTERN = (
    rf"^[hH][tT][tT][pP][sS]?://({_HOST}|{_OCTET}(\.{_OCTET}){{3}}|\[({_GROUPS})\])(:{_PORT})?"
    r"([/?][!\x22\x24-\x5b\x5d-~]*)?$"
)
_VISIBLE_ASCII = re.compile(r"[\x21-\x7e]+")
#: Its last label begins with no digit, as no top-level domain does: a number there makes a host an IPv4 address in some
#: spelling (WHATWG URL, "ends in a number").
_NAME = re.compile(rf"(?=.{{1,253}}\.?$){_HOST}")
#: All of IPv6 that is routed publicly; translators' prefixes (NAT64) lie outside.
_UNICAST = IPv6Network("2000::/3")
#: What Python took for public in some of its versions: the IETF's own addresses, and relays into 6to4.
_SET_ASIDE: Final = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))


class AddressNotReached(Unprocessable):
    """The URL leads to an address that deliveries may not reach."""


#: ranges of ports, both ends included
Ports = tuple[tuple[int, int], ...]

#: The web's own ports, and those that need no rights to listen on. What is left out are the well-known ports of other
#: protocols, which answer a request for HTTP with whatever it makes them do.
USUAL_PORTS: Final[Ports] = ((80, 80), (443, 443), (1024, 65535))


@dataclass(frozen=True)
class AddressRule:
    """The addresses that deliveries may be sent to."""

    #: networks that the operator allows besides the public ones
    allowed: Sequence[Network] = ()
    ports: Ports = USUAL_PORTS

    def permits_port(self, port: int) -> bool:
        """Whether a connection to this port may be opened, wherever it is."""
        return any(first <= port <= last for first, last in self.ports)

    def permits(self, text: str) -> bool:
        """Whether a connection to this address, in the notation of the socket library, may be opened."""
        address = _unmapped(ip_address(text.partition("%")[0]))
        if any(address in network for network in self.allowed):
            return True
        return _is_public(address)


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (address not in _UNICAST or _hides_another(address)):
        return False
    if any(address in network for network in _SET_ASIDE):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _hides_another(address: IPv6Address) -> bool:
    # Tunnels carry an IPv4 address inside, which may be anyone's.
    return address.sixtofour is not None or address.teredo is not None


def check_url(url: str, rule: AddressRule, location: str = "body.url") -> None:
    """Refuse an endpoint whose URL, from `location`, shows that nothing can or may be sent to it.

    Raises InvalidRequest for what cannot be understood, and AddressNotReached.
    """
    fault = _fault_of(url)
    if fault is not None:
        raise InvalidRequest(errors=[FieldError(location, fault)])
    parts = urlsplit(url)
    port = parts.port if parts.port is not None else _USUAL_PORT[parts.scheme]
    if not rule.permits_port(port):
        raise AddressNotReached(errors=[FieldError(location, "names a port that deliveries may not reach")])
    if _is_forbidden(_host_of(parts), rule):
        raise AddressNotReached(errors=[FieldError(location, "leads to an address that deliveries may not reach")])


def _fault_of(url: str) -> str | None:
    if len(url) > LONGEST_URL or not _VISIBLE_ASCII.fullmatch(url) or "\\" in url:
        return f"must be a URL of at most {LONGEST_URL} visible ASCII characters (names of other scripts in punycode)"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "must begin with http:// or https:// and name a host"
    if "@" in parts.netloc:
        return "must not hold credentials"
    if parts.fragment or "#" in url:
        return "must not hold a fragment"
    return _fault_of_host(_host_of(parts))


def _fault_of_host(host: str) -> str | None:
    if _is_address(host) or _NAME.fullmatch(host):
        return None
    return "must name a host, or an address in its plain notation"


def _host_of(parts: SplitResult) -> str:
    host = parts.hostname or ""
    is_this_machine = host.rstrip(".") == "localhost" or host.rstrip(".").endswith(".localhost")
    return "127.0.0.1" if is_this_machine else host


def _is_address(host: str) -> bool:
    try:
        # Only an address of IPv6 has a zone behind it.
        ip_address(host.partition("%")[0] if ":" in host else host)
    except ValueError:
        return False
    return True


def _is_forbidden(host: str, rule: AddressRule) -> bool:
    # A name is asked about when it is dialled.
    return _is_address(host) and not rule.permits(host)
