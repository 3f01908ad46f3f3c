"""One HTTP/1.1 connection: a request goes out, and of its answer is read what is of use, whatever the peer sends.

llhttp, by way of httptools, parses. What it does not bound is bounded here: the size of the head and of the body, and
the time that both may take.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

RESPONSE_KEPT: Final = 4096
#: bytes of a status line and headers
_LARGEST_HEAD: Final = 64 * 1024
#: the status has decided the outcome by then; only people read the rest
_BODY_SECONDS: Final = 2.0
_SWITCHING: Final = 101
_FIRST_FINAL: Final = 200


class BrokenOffError(OSError):
    """The connection ended before an answer was there."""


class InvalidAnswerError(ValueError):
    """What came back is not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer answered."""

    status: int
    #: the header of that name, as it came
    retry_after: str | None
    #: the beginning, at most 4 KiB
    body: bytes = field(repr=False)


class Exchange(asyncio.Protocol):
    """A connection that carries one request at a time; only its event loop touches it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._keeps_alive = True
        self._begin()

    def _begin(self) -> None:
        #: 0 until the head of the final answer is there
        self._status = 0
        self._head = 0
        self._retry_after: str | None = None
        self._kept = bytearray()
        self._complete = False

    # -- for whoever asks

    @property
    def reusable(self) -> bool:
        """Whether the next request may go out on it: the answer was read whole, and nobody has hung up."""
        return self._answered is None and self._keeps_alive and self._is_open

    @property
    def _is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def ask(self, request: bytes, deadline: float) -> "asyncio.Future[Answer]":
        """Send `request`; the answer comes until `deadline`, by the loop's clock.

        The future raises BrokenOffError, InvalidAnswerError or TimeoutError.
        """
        self._begin()
        answered = self._answered = self._loop.create_future()
        self._timers.append(self._loop.call_at(deadline, self._late))
        if self._transport is not None and self._is_open:
            self._transport.write(request)
        else:
            self._fail(BrokenOffError("the connection was closed"))
        return answered

    def close(self) -> None:
        """Hang up, whatever is under way."""
        self._keeps_alive = False
        self._forget_timers()
        if self._transport is not None:
            self._transport.abort()

    # -- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        # uvloop's transports are none by their class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Read on, and see whether that is enough."""
        if self._answered is None:
            self.close()  # nobody has asked: whatever this is, it is no answer
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._end(keeps_alive=False)
        except httptools.HttpParserError as fault:
            self._break(InvalidAnswerError(f"not HTTP: {fault}"))
        else:
            self._look(len(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has ended; with the body, where that has no other end."""
        if self._answered is not None:
            self._break(BrokenOffError(str(exc) if exc else "the connection was closed"))

    def _look(self, read: int) -> None:
        if self._complete:
            self._end(keeps_alive=self._keeps_alive)
        elif len(self._kept) > RESPONSE_KEPT:
            self._end(keeps_alive=False)
        elif self._status:
            if len(self._timers) == 1:
                self._timers.append(self._loop.call_later(_BODY_SECONDS, self._late))
        else:
            self._head += read
            if self._head > _LARGEST_HEAD:
                self._break(InvalidAnswerError(f"a head of more than {_LARGEST_HEAD} bytes"))

    def _late(self) -> None:
        self._break(TimeoutError())

    # -- for the parser

    def on_message_begin(self) -> None:
        """An answer begins: the first, or what follows upon one that only informs."""
        if self._complete:
            self._keeps_alive = False  # another one, which nobody has asked for

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note what is of use."""
        if name.lower() == b"retry-after":
            self._retry_after = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there."""
        status = self._parser.get_status_code()
        if not self._complete and (status >= _FIRST_FINAL or status == _SWITCHING):
            self._status = status

    def on_body(self, body: bytes) -> None:
        """Keep the beginning."""
        if len(self._kept) <= RESPONSE_KEPT and not self._complete:
            self._kept += body[: RESPONSE_KEPT + 1]

    def on_message_complete(self) -> None:
        """An answer has ended."""
        if self._status and not self._complete:
            self._complete = True
            self._keeps_alive = self._parser.should_keep_alive()

    # -- ends

    def _break(self, fault: Exception) -> None:
        """What is wrong with the rest changes nothing once the status is there."""
        if self._status:
            self._end(keeps_alive=False)
        else:
            self._fail(fault)

    def _end(self, *, keeps_alive: bool) -> None:
        answered, self._answered = self._answered, None
        self._keeps_alive = keeps_alive
        self._forget_timers()
        if not keeps_alive:
            self.close()
        if answered is not None and not answered.done():
            answered.set_result(Answer(self._status, self._retry_after, bytes(self._kept[:RESPONSE_KEPT])))

    def _fail(self, fault: Exception) -> None:
        answered, self._answered = self._answered, None
        self.close()
        if answered is not None and not answered.done():
            answered.set_exception(fault)

    def _forget_timers(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
