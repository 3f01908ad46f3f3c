"""The overview: one verdict, everything that is wrong with what to do about it, and how much there is of everything."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from nicegui import html, ui
from nicegui.elements.mixins.text_element import TextElement
from starlette.requests import Request

from services.ops_console.domain import DRAINS_WITHIN, Finding, State
from services.ops_console.use_cases import Picture, Watch

from .frame import PAGES, framed, kept_fresh
from .tables import Column, Table, ago, when

_PARTS = ("groups", "topics", "parked messages", "outboxes", "subscriptions")


def register(watch: Watch) -> None:
    """Add the page."""

    @ui.page("/")
    def overview(request: Request) -> None:
        with framed(request, "/"):
            verdict = _Verdict(watch)
            html.h2("What is wrong")
            columns = [
                Column("where", "Where"),
                Column("what", "What"),
                Column("since", "Since (UTC)", short=True),
                Column("press", "What to do"),
                Column("page", "Page", short=True, link=True),
            ]
            table: Table[Finding] = Table(
                "What is wrong", columns, lambda: watch.picture.findings, _finding, empty="Nothing is."
            )
            html.h2("What there is")
            tiles = _Tiles(watch)
            kept_fresh(request, watch, verdict.refresh, table.refresh, tiles.refresh)


class _Verdict:
    """One sentence about everything."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        with ui.element("section").classes("card verdict").props('aria-label="Verdict" aria-live=polite') as self._card:
            self._word = _words("h2").props("id=verdict")
            self._more = _words("p").classes("soft")
        self.refresh()

    def refresh(self) -> None:
        word, more, wrong = verdict_of(self._watch.picture)
        _say(self._word, word)
        _say(self._more, more)
        self._card.classes(add="wrong" if wrong else "", remove="" if wrong else "wrong")


def verdict_of(picture: Picture) -> tuple[str, str, bool]:
    """The verdict, what there is to say besides, and whether something is wrong."""
    missing = [part for part in _PARTS if part not in picture.seen_at]
    if not picture.findings:
        if missing:
            return "Looking…", f"Not seen yet: {', '.join(missing)}.", False
        oldest = min(picture.seen_at.values())
        return "All is well", f"Everything was looked at since {when(oldest)} UTC.", False
    worst = picture.findings[0]
    others = len(picture.findings) - 1
    more = f" {others:,} more below." if others else ""
    since = f"Since {when(worst.since)} UTC ({_age_of(worst.since)}). {worst.press}{more}"
    # What is away is named by its own sentence.
    word = worst.what if worst.what.startswith(worst.where) else f"{worst.where}: {worst.what}"
    return word, since, True


class _Tiles:
    """A number for each part."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._told: list[tuple[str, Callable[[Picture], tuple[str, str]], TextElement, TextElement]] = []
        with ui.element("div").classes("tiles"):
            self._tile("/groups", "Consumer groups", "groups", _groups)
            self._tile("/parked", "Parked messages", "parked messages", self._parked)
            self._tile("/outbox", "Outboxes", "outboxes", _outboxes)
            self._tile("/topics", "Topics", "topics", _topics)
            self._tile("/subscriptions", "Subscriptions that fail", "subscriptions", _subscriptions)
        self.refresh()

    def _tile(self, path: str, title: str, part: str, tell: Callable[[Picture], tuple[str, str]]) -> None:
        with ui.element("section").classes("card").props(f'aria-label="{title}"'):
            ui.link(title, path)
            self._told.append((part, tell, _words("p").classes("number"), _words("p").classes("soft")))

    def refresh(self) -> None:
        picture = self._watch.picture
        for part, tell, number, words in self._told:
            first, second = tell(picture) if part in picture.seen_at else ("-", "not seen yet")
            _say(number, first)
            _say(words, second)

    def _parked(self, _: Picture) -> tuple[str, str]:
        counts = self._watch.parked.counts()
        reasons: Counter[str] = Counter()
        for (_group, reason), count in counts.items():
            reasons[reason] += count
        return f"{counts.total():,}", ", ".join(f"{count:,} for {reason}" for reason, count in reasons.most_common(3))


def _groups(picture: Picture) -> tuple[str, str]:
    states = Counter(each.state for each in picture.groups)
    waits = sum(each.records for each in picture.groups)
    words = ", ".join(f"{states[state]} {state}" for state in reversed(State) if states[state])
    return words or "-", f"{waits:,} records wait"


def _outboxes(picture: Picture) -> tuple[str, str]:
    oldest = max((each.oldest_seconds for each in picture.outboxes), default=0.0)
    well = "all drain" if oldest <= DRAINS_WITHIN else "not all drain"
    return f"{sum(each.rows for each in picture.outboxes):,}", f"{well}; the oldest message waits for {ago(oldest)}"


def _topics(picture: Picture) -> tuple[str, str]:
    rate = sum(each.rate or 0.0 for each in picture.topics)
    return f"{len(picture.topics):,}", f"{rate:,.1f} records a second, all together"


def _subscriptions(picture: Picture) -> tuple[str, str]:
    failing = [each for each in picture.subscriptions if each.failing_since]
    return f"{len(failing):,}", f"{sum(each.waiting for each in failing):,} deliveries wait for them"


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "key": f"{finding.key} {finding.what}",
        "where": finding.where,
        "what": finding.what,
        "since": when(finding.since),
        "press": finding.press,
        "page": PAGES[finding.page],
        "href": finding.page,
    }


def _age_of(since: datetime | None) -> str:
    return "unknown" if since is None else f"{ago((datetime.now(UTC) - since).total_seconds())} ago"


def _words(tag: str) -> TextElement:
    """An element whose words change."""
    return TextElement(tag=tag, text="")


def _say(element: TextElement, text: str) -> None:
    if element.text != text:
        element.text = text
