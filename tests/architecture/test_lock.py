"""The locked requirements are whole, are what pyproject.toml asks for, and name no place to fetch them from."""

import re
from functools import cache

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .declared import REGISTRIES
from .sources import ROOT, files, project

#: one requirement with its hashes and who asks for it
_ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)"
    r"\n(?P<why>(?:    # .*\n)*)",
    re.MULTILINE,
)
_OF_OURS = "portfolio-bus (pyproject.toml"


@cache
def _lock() -> str:
    return (ROOT / "requirements.lock").read_text()


def _asked_for() -> dict[str, Requirement]:
    settings = project()
    asked = [*settings["project"]["dependencies"], *settings["dependency-groups"]["dev"]]
    return {canonicalize_name(each.name): each for each in map(Requirement, asked)}


def test_the_lock_holds_pins_with_hashes_and_nothing_else() -> None:
    assert _ENTRY.sub("", _lock()).strip() == ""


def test_the_lock_is_what_pyproject_asks_for() -> None:
    locked = {entry["name"]: entry["version"] for entry in _ENTRY.finditer(_lock())}
    ours = {entry["name"] for entry in _ENTRY.finditer(_lock()) if _OF_OURS in entry["why"]}
    asked = _asked_for()
    assert ours == asked.keys()
    assert [name for name, each in asked.items() if not each.specifier.contains(locked[name], prereleases=True)] == []


def test_what_is_locked_is_asked_for_by_somebody() -> None:
    names = {entry["name"] for entry in _ENTRY.finditer(_lock())}
    for entry in _ENTRY.finditer(_lock()):
        wanting = set(re.findall(r"# +(?:via +)?([a-z0-9-]+)", entry["why"])) - {"via"}
        assert wanting, entry["name"]
        assert wanting <= names | {"portfolio-bus"}, entry["name"]


def test_no_file_names_a_registry() -> None:
    """Whoever builds this may reach other registries than we do; theirs are in their own configuration."""
    naming = {
        f"{path.relative_to(ROOT)}: {host}"
        for path in files(ROOT)
        for host in REGISTRIES
        if host in path.read_text(errors="ignore")
    }
    assert naming == set()


def test_no_tool_is_told_where_to_fetch_from() -> None:
    telling = re.compile(r"--(extra-)?index-url|--find-links|index-url\s*=|\[\[?tool\.uv\.(index|sources)|trusted-host")
    told = [name for name in ("pyproject.toml", "requirements.lock", "Makefile", ".ci/run") if (ROOT / name).exists()]
    assert not [name for name in told if telling.search((ROOT / name).read_text())]
