"""What is around every page: the ways between them, light or dark, the way out; and how a page stays fresh."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from aiokafka.errors import KafkaError
from nicegui import html, ui
from starlette.requests import Request

from services.ops_console.clients import Trouble
from services.ops_console.use_cases import Watch

from .signing_in import SIGN_IN, SIGN_OUT, Session
from .style import COLOURS, PAGE

PAGES: Final = {
    "/": "Overview",
    "/topics": "Topics",
    "/groups": "Groups",
    "/parked": "Parked",
    "/outbox": "Outbox",
    "/subscriptions": "Subscriptions",
    "/accounts": "Accounts",
}
_SECONDS: Final = 1.0
_THEME: Final = "portfolio_bus_theme"
_DARK: Final = {"dark": True, "light": False}


@contextmanager
def framed(request: Request, path: str) -> Iterator[None]:
    """The frame around the content of the block."""
    title = PAGES[path]
    ui.page_title(f"{title} · portfolio-bus")
    ui.add_css(COLOURS + PAGE)
    dark = ui.dark_mode(_DARK.get(request.cookies.get(_THEME, "")))
    with ui.header().classes("q-py-sm"), ui.element("div").classes("bar"):
        ui.link("To the content", "#content").classes("skip")
        ui.label("portfolio-bus").classes("name")
        with ui.element("nav").props('aria-label="Pages"'):
            for target, name in PAGES.items():
                link = ui.link(name, target)
                if target == path:
                    link.props('aria-current="page"')
        for word in _DARK:
            button = ui.button(word.capitalize(), on_click=lambda word=word: _choose(dark, word), color=None)
            button.classes("plain").props(f'no-caps flat dense aria-label="Show the pages {word}"')
        with ui.element("form").props(f'method=post action="{SIGN_OUT}"'):
            ui.button("Sign out", color=None).classes("plain").props("no-caps flat dense type=submit")
    html.h1(title).props('id=content tabindex="-1"')
    yield


def kept_fresh(request: Request, watch: Watch, *refresh: Callable[[], object]) -> None:
    """Call these again whenever the picture has changed, for as long as the page is open and its session lasts."""
    session: Session = request.state.session
    shown = -1

    def look() -> None:
        nonlocal shown
        if time.time() > session.ends_at:
            ui.navigate.to(SIGN_IN)
            return
        version = watch.look().version
        if version != shown:
            shown = version
            for each in refresh:
                each()

    watch.look()
    ui.timer(_SECONDS, look)


def operator_of(request: Request) -> str:
    """Who has signed in, for the log."""
    session: Session = request.state.session
    return session.name


@contextmanager
def telling() -> Iterator[None]:
    """Tell a person what could not be done, in one sentence."""
    try:
        yield
    except Trouble as trouble:
        _tell(str(trouble))
    except (KafkaError, TimeoutError, OSError) as fault:
        _tell(f"Kafka does not do what it is asked ({type(fault).__name__}).")


def _tell(sentence: str) -> None:
    ui.notify(sentence, type="negative", timeout=10_000, close_button="Close")


def _choose(dark: ui.dark_mode, word: str) -> None:
    dark.set_value(_DARK[word])
    ui.run_javascript(f"document.cookie = '{_THEME}={word}; path=/; max-age=31536000; samesite=lax'")
