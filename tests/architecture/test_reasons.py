"""Whatever is exempted from a check says why, where it is exempted."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .declared import SELF_EXPLAINING
from .planting import Tree
from .sources import ROOT, comments, modules, project

_NOQA = re.compile(r"#\s*noqa(?::\s*(?P<codes>[A-Z]+\d+(?:,\s*[A-Z]+\d+)*))?(?P<reason>\s+--?\s+\S.*)?", re.IGNORECASE)
_IGNORE = re.compile(r"#\s*type:\s*ignore(?:\[(?P<codes>[a-z, -]+)\])?(?P<reason>\s+#\s*\S.*)?")
#: comments that would exempt a whole file, or a stretch of it
_WHOLESALE = re.compile(r"#\s*(ruff\s*:|flake8\s*:|mypy\s*:|pylint\s*:|isort\s*:|fmt\s*:\s*off)")
_IGNORED_RULE = re.compile(r'^\s*"(?P<code>[A-Z]+\d*)",(?P<reason>\s+#\s*\S.*)?$', re.MULTILINE)


def without_reason(root: Path, *folders: str, reasons: bool = True) -> Iterator[str]:
    """Comments that exempt a line from a check and leave out which rule, or why."""
    for name, path in modules(root, *folders):
        for line, comment in comments(path):
            if not _is_argued(comment, reasons=reasons):
                yield f"{name}:{line} {comment}"


def _is_argued(comment: str, *, reasons: bool) -> bool:
    if _WHOLESALE.match(comment):
        return False
    exemption = _NOQA.search(comment) or _IGNORE.search(comment)
    if exemption is None:
        return True
    codes = set(re.split(r",\s*", exemption["codes"] or ""))
    return "" not in codes and (not reasons or bool(exemption["reason"]) or codes <= SELF_EXPLAINING.keys())


def test_every_exempted_line_names_the_rule_and_the_reason() -> None:
    assert list(without_reason(ROOT, "services", "shared", "deploy")) == []


def test_every_exempted_line_of_a_test_names_the_rule() -> None:
    assert list(without_reason(ROOT, "tests", reasons=False)) == []


@pytest.mark.parametrize(
    "comment",
    ["# noqa", "# noqa: E501", "# type: ignore", "# type: ignore[misc]", "# ruff: noqa", "# ruff: noqa: F401"],
)
def test_an_exemption_without_a_reason_is_found(tree: Tree, comment: str) -> None:
    path = "services/order_service/domain/orders.py"
    before = list(without_reason(tree.root, "services"))
    with tree.planted(path, f"ONE = 1  {comment}"):
        (found,) = set(without_reason(tree.root, "services")) - set(before)
    assert found.startswith(path)


def test_every_rule_that_ruff_leaves_out_has_a_reason() -> None:
    lint = project()["tool"]["ruff"]["lint"]
    ignored = [*lint["ignore"], *(code for codes in lint["per-file-ignores"].values() for code in codes)]
    # One to a line, so that each has a reason of its own.
    listed = list(_IGNORED_RULE.finditer(_section("[tool.ruff.lint]", "[tool.ruff.lint.pydocstyle]")))
    assert sorted(rule["code"] for rule in listed) == sorted(ignored)
    assert [rule["code"] for rule in listed if not rule["reason"]] == []
    assert lint["select"] == ["ALL"]
    assert not {"extend-ignore", "extend-per-file-ignores", "ignore-init-module-imports"} & lint.keys()
    assert not {"exclude", "extend-exclude", "force-exclude"} & (project()["tool"]["ruff"].keys() | lint.keys())


def test_mypy_is_strict_and_every_laxer_part_has_a_reason() -> None:
    mypy: dict[str, Any] = project()["tool"]["mypy"]
    assert mypy.pop("strict") is True
    overrides = mypy.pop("overrides")
    assert mypy.keys() == {"python_version", "packages", "plugins"}
    assert {option for each in overrides for option in each} <= {"module", "ignore_missing_imports"}
    starts = re.findall(r"^\[\[tool\.mypy\.overrides\]\]\n#\s*\S", _section("[tool.mypy]", "[tool.ruff]"), re.MULTILINE)
    assert len(starts) == len(overrides)


def test_a_warning_fails_a_test_unless_it_is_exempted_with_a_reason() -> None:
    first, *exempted = project()["tool"]["pytest"]["ini_options"]["filterwarnings"]
    lines = _section("filterwarnings = [", "]").splitlines()
    assert first == "error"
    assert [each for each in exempted if not any(each in line and "# " in line for line in lines)] == []


def _section(start: str, end: str) -> str:
    text = (ROOT / "pyproject.toml").read_text()
    return text.partition(start)[2].partition(f"\n{end}")[0]
