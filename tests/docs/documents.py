"""What the documents say, taken apart: fenced blocks, tables, links, names of code and tests."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"

_FENCE = re.compile(
    r"(?:<!-- runs: (?P<against>\w+) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_GENERATED = re.compile(r"<!-- table: (?P<name>[\w-]+) -->\n(?P<rows>.*?)<!-- end -->", re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_IN_CODE = re.compile(r"`(?P<path>[\w./-]+\.\w+)::(?P<name>\w+)(?:\.(?P<member>\w+))?`")
_PATH = re.compile(r"`(?P<path>(?:services|shared|deploy|tests|docs)/[\w./-]*)`")
_TARGET = re.compile(r"\bmake ([a-z]+)\b(?! of\b)")


@dataclass(frozen=True)
class Block:
    """A fenced block; `against` is what it is marked to run against, if anything."""

    language: str
    text: str
    against: str | None


@dataclass(frozen=True)
class Named:
    """A function, class or value of a file, as a document names it."""

    path: str
    name: str
    member: str | None


def documents() -> list[Path]:
    return [README, REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def blocks(document: Path) -> list[Block]:
    found = _FENCE.finditer(document.read_text())
    return [Block(each["language"], each["text"], each["against"]) for each in found]


def prose(document: Path) -> str:
    return _FENCE.sub("", document.read_text())


def generated_tables(document: Path) -> dict[str, str]:
    return {each["name"]: each["rows"] for each in _GENERATED.finditer(document.read_text())}


def links(document: Path) -> list[str]:
    return [each["target"] for each in _LINK.finditer(prose(document))]


def named_in_code(document: Path) -> list[Named]:
    return [Named(each["path"], each["name"], each["member"]) for each in _IN_CODE.finditer(prose(document))]


def paths(document: Path) -> list[str]:
    return [each["path"] for each in _PATH.finditer(prose(document))]


def make_targets(document: Path) -> set[str]:
    """Targets in commands and in backticks; "make sure" in a sentence is none."""
    text = document.read_text()
    quoted = re.findall(r"`([^`\n]*)`", prose(document))
    return {
        target
        for line in [*quoted, *(block.text for block in blocks(document) if block.language == "sh")]
        for target in _TARGET.findall(line)
        if text
    }


def anchors(document: Path) -> set[str]:
    """What GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def as_another_client(stack: dict[str, Any]) -> dict[str, Any]:
    """What `.local/stack.json` says, with the other client first: a page of its own beside the README's commands."""
    return {**stack, "clients": stack["clients"][::-1]}
