"""What a connection may do before there is a request: send a bounded head, in bounded time (P9).

uvicorn holds the application back until a request's head is complete, and bounds neither its size nor its time.
Without a bound of ours a caller could fill the memory with headers that never end, or hold every connection that the
process may have by saying nothing at all.
"""

import asyncio
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared.contracts import new_id
from shared.kit.refusals import SLUGS, problem

#: Bytes of request line and headers; the intake's own, smaller bound is told with the path.
_HEAD_LIMIT: Final = 64 * 1024
#: Bytes of a body that are still taken after its request was answered, before the connection is closed.
_IGNORED_LIMIT: Final = 1024 * 1024
#: Seconds from the opening of a connection, or from the first byte behind an answer, to the end of the next head.
_HEAD_SECONDS: Final = 10.0
#: Seconds from the end of the server to the end of a head that is on its way by then.
_LAST_HEAD_SECONDS: Final = 1.0


class BoundedConnection(HttpToolsProtocol):
    """A connection that is answered and closed when a head is too large, too slow, or no HTTP at all."""

    #: overridden where a test cannot wait
    head_seconds = _HEAD_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        """Expect a head."""
        self._head, self._in_head, self._ignored = 0, True, 0
        self._late: asyncio.TimerHandle | None = None
        self._ending = False
        super().connection_made(transport)
        self._expect_a_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, as long as the head is within its bound."""
        if self._in_head:
            self._head += len(data)
        elif self.cycle.response_complete:
            self._ignored += len(data)
        # Whatever comes ends uvicorn's wait for a further request, be it empty lines or the rest of a refused body.
        if self._late is None and self.cycle is not None and self.cycle.response_complete:
            self._expect_a_head()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._in_head and self._head > _HEAD_LIMIT:
            self._refuse("header_fields_too_large", f"The head of the request is larger than {_HEAD_LIMIT} bytes.")
        elif self._ignored > _IGNORED_LIMIT:
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count, and to wait for the end of the head."""
        super().on_message_begin()
        self._head, self._in_head, self._ignored = max(1, self._head), True, 0
        if self._late is None:
            self._expect_a_head()

    def on_headers_complete(self) -> None:
        """Leave the rest to the intake."""
        self._in_head = False
        self._expect_nothing()
        super().on_headers_complete()
        if self._ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep what stands in the head; nobody here reads trailers, which may come without end."""
        if self._in_head:
            super().on_header(name, value)

    def on_message_complete(self) -> None:
        """Count what comes next as a head."""
        self._head, self._in_head = 0, True
        super().on_message_complete()

    def shutdown(self) -> None:
        """End with the server: whoever has just connected, or begun a head, is answered once more.

        uvicorn would close such a connection, whose request may stand unread before us: its caller would know nothing
        of what has come of it.
        """
        self._ending = True
        if self.cycle is None or (self.cycle.response_complete and self._head):
            self._expect_nothing()
            self._late = self.loop.call_later(_LAST_HEAD_SECONDS, self.transport.close)
        else:
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem document as well."""
        self._refuse("invalid_request", msg)

    def _expect_a_head(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if self.transport.is_closing():
            return
        if self._in_head and self._head:
            self._refuse("request_timeout", f"The head of the request did not arrive within {self.head_seconds:g} s.")
        else:
            self.transport.close()

    def _refuse(self, slug: str, detail: str) -> None:
        request_id = str(new_id())
        body = orjson.dumps(problem(slug, detail, instance="", request_id=request_id))
        head: dict[str, Any] = {
            "content-type": "application/problem+json",
            "content-length": len(body),
            "x-request-id": request_id,
            "connection": "close",
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.transport.write(STATUS_LINE[SLUGS[slug][0]] + lines.encode() + b"\r\n" + body)
        self.transport.close()
