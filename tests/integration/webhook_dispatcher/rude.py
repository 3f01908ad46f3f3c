"""Endpoints that misbehave on purpose: raw servers, one behaviour each."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploy.local.ports import LOOPBACK

#: what it does once a request has come
Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def rude(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """An endpoint that behaves so; its URL."""
    talking: set[asyncio.Task[None]] = set()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            talking.add(task)
            task.add_done_callback(talking.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await behaviour(writer)
        writer.close()

    server = await asyncio.start_server(take, LOOPBACK, 0, ssl=tls)
    scheme = "https" if tls else "http"
    try:
        yield f"{scheme}://{LOOPBACK}:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
        for task in list(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, text: bytes) -> None:
    writer.write(text)
    await writer.drain()


def says(text: bytes) -> Behaviour:
    """Says this and hangs up."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        await _send(writer, text)

    return behave


def repeats(beginning: bytes, text: bytes, pause: float = 0.0) -> Behaviour:
    """Says the beginning, and then the same for ever."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        await _send(writer, beginning)
        while True:
            await _send(writer, text)
            await asyncio.sleep(pause)

    return behave


def resets_after(text: bytes) -> Behaviour:
    """Says this and resets the connection."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        await _send(writer, text)
        await asyncio.sleep(0.1)
        found: socket.socket = writer.get_extra_info("socket")
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return behave


def says_after(seconds: float, text: bytes) -> Behaviour:
    """Says this, late."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await _send(writer, text)

    return behave


def bomb() -> bytes:
    """Ten megabytes of nothing in ten kilobytes."""
    packed = gzip.compress(b"\0" * 10_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
    return head.encode() + packed


def certified(folder: Path, host: str, *, expired: bool = False) -> ssl.SSLContext:
    """A server's side of TLS with a certificate for `host` that signs itself, in `folder`/certificate.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = datetime.now(UTC)
    until = now - timedelta(days=1) if expired else now + timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(until)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
