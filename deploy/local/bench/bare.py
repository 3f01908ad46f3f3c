"""A service that can be told, while it runs, to measure nothing and to log errors alone; run in the service's place.

`python -m deploy.local.bench.bare SERVICE [--migrate]`, with the service's own environment. `GET /bare/on` and
`GET /bare/off` switch it, so that one and the same process is measured both ways. There is no setting for it: nobody
should run a service like that.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from contextlib import nullcontext
from functools import reduce, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from fastapi import APIRouter

from deploy.local.instead import run_changed
from shared.kit.service import Service

if TYPE_CHECKING:
    from collections.abc import Callable

PATH = "/bare"

_DISPATCHER = "services.webhook_dispatcher.workers."


class Bare:
    """Whether the process is bare, and what is done in its parts when it is."""

    def __init__(self) -> None:
        self.on = False

    def switch(self, *, on: bool) -> None:
        """Be bare from now on, or as usual."""
        self.on = on
        logging.disable(logging.WARNING if on else logging.NOTSET)

    def instead(self, module: str, path: str, other: Callable[..., object]) -> None:
        """Let `other` be called in the place of what `path` names in the module, while it is bare.

        Raises AttributeError where that is not there any more: it would be measured on both sides.
        """
        *outer, last = path.split(".")
        owner: object = reduce(getattr, outer, import_module(module))
        usual: Callable[..., object] = getattr(owner, last)

        @wraps(usual)
        def either(*args: object, **kwargs: object) -> object:
            return other(*args, **kwargs) if self.on else usual(*args, **kwargs)

        setattr(owner, last, either)


def _nothing(*_: object, **__: object) -> None:
    """In the place of what counts, times or tells."""


class _Instrument:
    """In the place of an instrument's child."""

    inc = observe = staticmethod(_nothing)

    def labels(self, *_: object) -> Self:
        return self


def switchable(name: str) -> Bare:
    """Make the service `name` of this process one that can be bare; for good."""
    bare, instrument = Bare(), _Instrument()

    class Published(Counter[str]):
        """What the relay counts for the metrics alone."""

        def update(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 -- whatever a Counter takes
            if not bare.on:
                super().update(*args, **kwargs)

    import_module("shared.kit.relay").Counter = Published  # type: ignore[attr-defined]  # a module's global
    for path in ("Counter.inc", "Histogram.observe"):
        bare.instead("prometheus_client", path, _nothing)
    for path in ("Counter.labels", "Histogram.labels"):
        bare.instead("prometheus_client", path, lambda *_: instrument)
    bare.instead("shared.kit.consumption", "Consumption.batch", lambda *_: nullcontext())
    for path in ("Progress.took", "Progress.settle"):
        bare.instead("shared.kit.lag", path, _nothing)
    if name == "webhook_dispatcher":
        for path in ("Sendings.note", "Stops.note"):
            bare.instead(f"{_DISPATCHER}measures", path, _nothing)
        for path in ("log_all", "_told"):
            bare.instead(f"{_DISPATCHER}recording", path, _nothing)
    return bare


def _switch_of(bare: Bare) -> APIRouter:
    router = APIRouter(prefix=PATH, include_in_schema=False)

    @router.get("/{word}", status_code=204)
    async def switch(word: str) -> None:
        bare.switch(on=word == "on")

    return router


def _main(name: str, *options: str) -> None:
    bare = switchable(name)

    def add_the_switch(service: Service) -> None:
        service.routers = [*service.routers, _switch_of(bare)]

    run_changed(name, add_the_switch, *options)


if __name__ == "__main__":
    _main(*sys.argv[1:])
