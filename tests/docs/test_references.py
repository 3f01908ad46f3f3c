"""Whatever a document names is there: links, files, functions, tests, targets of make."""

import re
from pathlib import Path

import pytest

from .documents import REPOSITORY, Named, anchors, documents, links, make_targets, named_in_code, paths, prose

DOCUMENTS = documents()
EACH = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: str(each.relative_to(REPOSITORY)))

DECISION = ["Context", "Decision", "Consequences", "Alternatives", "Revisit when"]
#: pages of the world that the documents point at
OUTSIDE = ("https://",)


@EACH
def test_every_link_leads_somewhere(document: Path) -> None:
    for target in links(document):
        if target.startswith(OUTSIDE):
            continue
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert there.is_relative_to(REPOSITORY), target
        assert not anchor or anchor in anchors(there), target


@EACH
def test_every_file_and_folder_that_is_named_is_there(document: Path) -> None:
    assert [path for path in paths(document) if not (REPOSITORY / path).exists()] == []


@EACH
def test_every_function_class_and_test_that_is_named_is_there(document: Path) -> None:
    assert [named for named in named_in_code(document) if not _is_there(named)] == []


def _is_there(named: Named) -> bool:
    file = REPOSITORY / named.path
    if not file.is_file():
        return False
    text = file.read_text()
    wanted = [named.name, *([named.member] if named.member else [])]
    return all(
        re.search(rf"^\s*((async )?def|class) {name}\b|^\s*{name}\b[^=\n]*=|^\s*{name}: ", text, re.MULTILINE)
        for name in wanted
    )


@EACH
def test_every_target_of_make_that_is_named_is_in_the_makefile(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    assert make_targets(document) <= targets


@EACH
def test_nothing_leads_out_of_the_repository(document: Path) -> None:
    assert not re.search(r"\.\./shared|DESIGN\.md|DOMAIN\.md|STYLE\.md|/work/|/home/|/root/", document.read_text())


def test_every_decision_has_its_five_parts_and_a_number_of_its_own() -> None:
    decisions = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    numbers = [decision.name[:4] for decision in decisions]
    assert numbers == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for decision in decisions:
        assert re.findall(r"^## (.+)$", prose(decision), re.MULTILINE) == DECISION, decision.name


def test_every_promise_names_its_mechanism_its_tests_and_what_it_leaves_open() -> None:
    text = (REPOSITORY / "docs" / "guarantees.md").read_text()
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    promises = [section for section in sections if re.match(r"P\d ", section)]
    assert [section[:2] for section in promises] == [f"P{number}" for number in range(1, 10)]
    for section in promises:
        for part in ("**How.**", "**Shown by.**", "**Does not cover.**"):
            assert part in section, (section[:2], part)
        shown = section.partition("**Shown by.**")[2].partition("**Does not cover.**")[0]
        assert re.search(r"`tests/[\w/]+\.py::test_\w+`", shown), section[:2]
