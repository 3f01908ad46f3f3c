"""The pages as a server: the form before them, what every service answers besides, and their start and end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI
from nicegui import ui
from starlette.middleware import Middleware

from services.ops_console.clients import Provider, Reach
from services.ops_console.use_cases import Watch
from shared.kit.http import Server, create_app
from shared.kit.http.server import Listening
from shared.kit.liveness import Beat, Liveness, Readiness
from shared.kit.logs import get_logger
from shared.kit.loop_lag import LoopLag
from shared.kit.metrics import Metrics

from . import accounts, groups, outbox, overview, parked, subscriptions, topics
from .providing import provider_routes
from .signing_in import SIGN_IN, SIGN_OUT, Access, Guard, sign_in_routes

Loop = Callable[[Beat], Awaitable[None]]

_HANGS_AFTER = 60.0
_RECONNECT_SECONDS = 15.0
#: messages to a page that are kept for it, each of a few kilobytes
_MISSED = 100

_log = get_logger("console")


def build_app(
    watch: Watch, reach: Reach, access: Access, provider: Provider | None, liveness: Liveness, metrics: Metrics
) -> FastAPI:
    """The application; NiceGUI has one of its own in a process, so that this is called once."""
    app = create_app(
        title="ops_console",
        version="1",
        routers=[],
        liveness=liveness,
        # Nothing that it needs makes it useless: what is away is what it is there to tell.
        readiness=Readiness(),
        metrics=metrics,
        form_paths=(SIGN_IN, SIGN_OUT),
    )
    # Within the frame that logs and measures, so that what is refused is logged and measured as well.
    app.user_middleware.append(Middleware(Guard, access=access))
    app.include_router(sign_in_routes(access))
    if provider is not None:
        app.include_router(provider_routes(access, provider))
    for page in (overview, topics, groups, outbox):
        page.register(watch)
    for page in (parked, subscriptions, accounts):
        page.register(watch, reach)
    ui.run_with(
        app,
        title="portfolio-bus",
        language="en-US",
        dark=None,
        # Tailwind would look through every page in the browser for what to style.
        tailwind=False,
        # A page that is cut off for so long goes on as it was, with what was typed into it; what it missed is kept.
        reconnect_timeout=_RECONNECT_SECONDS,
        message_history_length=_MISSED,
        show_welcome_message=False,
    )
    return app


async def serve_pages(
    reach: Reach,
    access: Access,
    settings: Listening,
    watching: Callable[[Watch, Reach], Mapping[str, Loop]],
    provider: Provider | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, while the loops of `watching` keep the picture fresh."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch, liveness, metrics, lag = Watch(reach.kafka), Liveness(), Metrics(), LoopLag()
    metrics.add(liveness, lag)
    server = Server(build_app(watch, reach, access, provider, liveness, metrics), settings)
    serving = asyncio.create_task(server.serve(), name="http")
    serving.add_done_callback(lambda _: stop.set())
    tasks = {"loop lag": lag.run, **watching(watch, reach)}
    running = {name: _started(liveness, name, loop) for name, loop in tasks.items()}
    _log.info("running")
    await stop.wait()
    _log.info("stopping")
    for name, task in running.items():
        liveness.forget(name)
        task.cancel()
    server.should_exit = True
    await asyncio.wait([serving, *running.values()], timeout=settings.shutdown_grace)


def _started(liveness: Liveness, name: str, loop: Loop) -> "asyncio.Task[None]":
    task = asyncio.ensure_future(loop(liveness.loop(name, hangs_after=_HANGS_AFTER)))
    liveness.watch(name, task)
    return task
