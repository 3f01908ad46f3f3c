"""Connections to endpoints: the address is checked at the moment in which it is dialled.

A check of the name before would prove nothing: the name may lead elsewhere by the time of the connection. The socket
factory sees the very address that the connection will go to, for names and for literal addresses alike.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohappyeyeballs import start_connection

from services.webhook_dispatcher.domain import AddressRule

from .exchange import Exchange
from .targets import Origin

#: Shorter than the five seconds after which common servers drop an idle connection: a request on a connection that is
#: being closed would fail, and must not be repeated blindly.
_KEEP_ALIVE = 4.0
#: seconds for which a name is not looked up again, and how many names are kept
_NAMES_HOLD = 10.0
_NAMES_KEPT = 1000
#: seconds until the next of several addresses is tried beside the one before (RFC 8305)
_NEXT_ADDRESS_AFTER = 0.25

AddressInfo = tuple[Any, ...]


class ForbiddenAddressError(OSError):
    """The endpoint's name leads to an address that deliveries may not reach."""


class NameNotFoundError(OSError):
    """The endpoint's name leads nowhere."""


class NotConnectedError(OSError):
    """No connection could be opened."""


class NotTrustedError(OSError):
    """The endpoint's side of TLS is wrong: its certificate, above all."""


class Connector:
    """Dials, and keeps connections to be used again; how many are open is the worker's business."""

    def __init__(self, make_socket: Callable[[AddressInfo], socket.socket], trust: ssl.SSLContext | None) -> None:
        self._make_socket = make_socket
        self._trust = trust
        self._names = Names()
        #: with each the moment in which it came back; the oldest first
        self._idle: dict[Origin, list[tuple[float, Exchange]]] = {}
        self._sweeping: asyncio.TimerHandle | None = None

    def idle(self, origin: Origin) -> Exchange | None:
        """Take the connection that was used last, if there is one that may be used again."""
        kept, since = self._idle.get(origin), asyncio.get_running_loop().time() - _KEEP_ALIVE
        while kept:
            came, exchange = kept.pop()
            if came >= since and exchange.reusable:
                return exchange
            exchange.close()
        return None

    async def dial(self, origin: Origin) -> Exchange:
        """Open a connection.

        Raises ForbiddenAddressError, NameNotFoundError, NotConnectedError or NotTrustedError, all of them OSErrors.
        """
        loop = asyncio.get_running_loop()
        addresses = await self._names.addresses_of(origin.host, origin.port)
        try:
            made = await start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_AFTER, interleave=1, socket_factory=self._make_socket
            )
        except OSError as fault:
            raise _refused(fault) from fault
        try:
            return await self._opened(loop, made, origin)
        except (ssl.SSLError, ssl.CertificateError) as fault:
            raise NotTrustedError(str(fault)) from fault
        except OSError as fault:
            raise NotConnectedError(str(fault)) from fault

    async def _opened(self, loop: asyncio.AbstractEventLoop, made: socket.socket, origin: Origin) -> Exchange:
        try:
            _, exchange = await loop.create_connection(
                lambda: Exchange(loop),
                sock=made,
                ssl=self._tls if origin.tls else None,
                server_hostname=origin.host.rstrip(".") if origin.tls else None,
            )
        except BaseException:
            made.close()
            raise
        return exchange

    def take_back(self, origin: Origin, exchange: Exchange) -> None:
        """Keep it for the next one, or hang up."""
        if not exchange.reusable:
            exchange.close()
            return
        loop = asyncio.get_running_loop()
        self._idle.setdefault(origin, []).append((loop.time(), exchange))
        if self._sweeping is None:
            self._sweeping = loop.call_later(_KEEP_ALIVE, self._sweep, loop)

    def close(self) -> None:
        """Hang up everywhere."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for kept in self._idle.values():
            for _, exchange in kept:
                exchange.close()
        self._idle.clear()

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        since = loop.time() - _KEEP_ALIVE
        for origin, kept in list(self._idle.items()):
            for came, exchange in kept:
                if came < since:
                    exchange.close()
            kept[:] = [(came, exchange) for came, exchange in kept if exchange.reusable]
            if not kept:
                del self._idle[origin]
        self._sweeping = loop.call_later(_KEEP_ALIVE, self._sweep, loop) if self._idle else None

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        # Made when it is needed: the authorities of a machine take some milliseconds to load.
        context = self._trust or ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        return context


def guarded_connector(rule: AddressRule, trust: ssl.SSLContext | None = None) -> Connector:
    """A connector that dials only what `rule` permits.

    Certificates are always checked: against the public authorities, or against those in `trust`.
    """
    return Connector(_checking(rule), trust)


def guarded_pool(rule: AddressRule, trust: ssl.SSLContext | None = None) -> aiohttp.TCPConnector:
    """Connections for an HTTP client of more abilities, to others than endpoints: as carefully dialled."""
    return aiohttp.TCPConnector(ssl=trust or True, socket_factory=_checking(rule))


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


def _refused(fault: OSError) -> OSError:
    cause: BaseException | None = fault
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return cause
        cause = cause.__cause__
    return NotConnectedError(str(fault))


class Names:
    """Looks names up, each once for all who ask at the same time."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[float, Sequence[AddressInfo]]] = {}
        self._asking: dict[tuple[str, int], asyncio.Task[Sequence[AddressInfo]]] = {}

    async def addresses_of(self, host: str, port: int) -> Sequence[AddressInfo]:
        """The addresses to dial for `host`; raises NameNotFoundError."""
        with suppress(ValueError):
            return [_literal(host, port)]
        where = host, port
        until, addresses = self._known.get(where, (0.0, ()))
        if until > asyncio.get_running_loop().time():
            return addresses
        if where not in self._asking:
            asking = self._asking[where] = asyncio.create_task(self._ask(where))
            asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        # Whoever gives up leaves the others their answer.
        return await asyncio.shield(self._asking[where])

    async def _ask(self, where: tuple[str, int]) -> Sequence[AddressInfo]:
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(*where, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        except (OSError, UnicodeError) as fault:
            raise NameNotFoundError(f"{where[0]}: {fault}") from fault
        finally:
            del self._asking[where]
        if len(self._known) >= _NAMES_KEPT:
            self._known.clear()
        self._known[where] = loop.time() + _NAMES_HOLD, addresses
        return addresses


def _literal(host: str, port: int) -> AddressInfo:
    family = socket.AF_INET if ip_address(host).version == 4 else socket.AF_INET6  # noqa: PLR2004 -- IPv4
    address = (host, port) if family is socket.AF_INET else (host, port, 0, 0)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address
