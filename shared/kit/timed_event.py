"""An event that is waited for so long at most, as `threading.Event` is."""

import asyncio


class TimedEvent:
    """Set by whoever has news. Its `wait` answers and raises nothing when the time runs out.

    That is a matter of cost: with `asyncio.timeout` a wait that runs out is a task cancelled and an exception caught,
    and loops that nobody has anything for run out several times a second in every service.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: set[asyncio.Future[None]] = set()

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Let everybody go on who waits, and who comes to wait."""
        self._is_set = True
        for waiter in self._waiters:
            _release(waiter)

    def clear(self) -> None:
        """Let whoever comes to wait do so."""
        self._is_set = False

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 -- an answer, not an error, when it runs out
        """Whether it was set within `timeout` seconds."""
        if self._is_set:
            return True
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(timeout, _release, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)
        return self._is_set


def _release(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
