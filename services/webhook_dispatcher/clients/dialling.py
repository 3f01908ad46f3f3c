"""Connections to endpoints: the address is checked at the moment in which it is dialled.

A check of the name before would prove nothing: the name may lead elsewhere by the time of the connection. The socket
factory sees the very address that the connection will go to, for names and for literal addresses alike.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Any

import aiohttp

from services.webhook_dispatcher.domain import AddressRule

#: Shorter than the five seconds after which common servers drop an idle connection: a request on a connection that is
#: being closed would fail, and must not be repeated blindly.
_KEEP_ALIVE = 4.0

AddressInfo = tuple[Any, ...]


class ForbiddenAddressError(OSError):
    """The endpoint's name leads to an address that deliveries may not reach."""


def guarded_connector(rule: AddressRule, trust: ssl.SSLContext | None = None) -> aiohttp.TCPConnector:
    """A connection pool that dials only what `rule` permits; how many are open is the worker's business.

    Certificates are always checked: against the public authorities, or against those in `trust`.
    """
    return aiohttp.TCPConnector(
        ssl=trust or True,
        limit=0,
        limit_per_host=0,
        keepalive_timeout=_KEEP_ALIVE,
        ttl_dns_cache=10,
        socket_factory=_checking(rule),
    )


def _checking(rule: AddressRule) -> Callable[[AddressInfo], socket.socket]:
    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        if not rule.permits(str(address[0])):
            raise ForbiddenAddressError(f"{address[0]} is not an address that deliveries may reach")
        if not rule.permits_port(address[1]):
            raise ForbiddenAddressError(f"{address[1]} is not a port that deliveries may reach")
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made

    return make
