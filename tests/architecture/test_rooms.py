"""Every file is in a room, and in a room that is a package every module is named after what it holds."""

import re
import sys
from pathlib import Path

import pytest

from .declared import EMPTY_NAMES, EMPTY_PACKAGES, NOUNS
from .planting import Tree
from .sources import ROOT, files, imports, is_migration, modules, services

_MIGRATION = re.compile(r"\d{4}_[a-z0-9_]+\.py")
_FOLDERS = ("services", "shared", "deploy")
_MOST_LINES = 300


def rooms(root: Path) -> dict[Path, set[str]]:
    """The packages whose modules are named by noun, and the nouns."""
    named = {}
    for package, nouns in NOUNS.items():
        folder = root / package
        parts = [folder]
        if package.startswith("services/"):
            parts = [room.parent for room in folder.glob("*/__init__.py")]
        named.update({part: {"__init__", *nouns.split()} for part in parts})
    return named


def strays(root: Path) -> list[str]:
    """Files and folders in room packages that bear none of the declared names."""
    return [
        entry.relative_to(root).as_posix()
        for room, nouns in rooms(root).items()
        for entry in room.iterdir()
        if entry.stem not in nouns | {"__pycache__", "schemas", "samples"}
        or (entry.is_dir() and any(entry.rglob("*.py")) and entry.name != "__pycache__")
    ]


def hidden(root: Path) -> list[str]:
    """Modules in folders that are no packages: import-linter does not see them."""
    return [
        name
        for name, path in modules(root, *_FOLDERS)
        if not is_migration(name) and not (path.parent / "__init__.py").exists()
    ]


def test_the_modules_of_room_packages_are_declared_nouns() -> None:
    assert strays(ROOT) == []


@pytest.mark.parametrize(
    "stray",
    [
        "services/order_service/api/helpers.py",
        "services/order_service/use_cases/common.py",
        "services/config_service/storage/sql/__init__.py",
        "shared/contracts/utils.py",
        "shared/kit/http/helpers.py",
    ],
)
def test_a_module_of_another_name_is_found(tree: Tree, stray: str) -> None:
    with tree.planted(stray):
        assert [found for found in strays(tree.root) if stray.startswith(found)]


def test_no_noun_is_declared_that_nothing_bears() -> None:
    names = {package: {path.stem for path in files(ROOT / package)} for package in NOUNS}
    assert not {package: unused for package in NOUNS if (unused := set(NOUNS[package].split()) - names[package])}


def test_every_service_has_its_nouns_declared() -> None:
    assert {f"services/{name}" for name in services(ROOT)} == {each for each in NOUNS if each.startswith("services/")}


def test_no_module_hides_in_a_folder_that_is_no_package() -> None:
    assert hidden(ROOT) == []


def test_a_hidden_module_is_found(tree: Tree) -> None:
    with tree.planted("services/order_service/helpers/rounding.py"):
        assert hidden(tree.root) == ["services/order_service/helpers/rounding.py"]


def test_the_packages_that_hand_nothing_on_are_empty() -> None:
    assert {name: (ROOT / name).read_text() for name in EMPTY_PACKAGES} == dict.fromkeys(EMPTY_PACKAGES, "")


def test_every_service_promises_what_it_owns_consumes_and_publishes() -> None:
    for name in services(ROOT):
        promise = (ROOT / "services" / name / "__init__.py").read_text()
        assert all(word in promise for word in ("Owns", "Consumes", "Publishes")), name


def test_no_module_bears_a_name_that_says_nothing() -> None:
    assert not [name for name, path in modules(ROOT, *_FOLDERS, "tests") if path.stem in EMPTY_NAMES]


def test_migrations_are_numbered_and_import_nothing_of_ours() -> None:
    for name, path in modules(ROOT, "services", "shared"):
        if is_migration(name) and path.name != "env.py":
            assert _MIGRATION.fullmatch(path.name), name
            assert {imported for _, imported in imports(path)} <= {"alembic", "sqlalchemy"}, name


def test_the_contracts_import_pydantic_and_themselves_alone() -> None:
    others = {
        f"{name}: {'.' * dots}{imported}"
        for name, path in modules(ROOT, "shared/contracts")
        for dots, imported in imports(path)
        if dots > 1
        or (not dots and imported.partition(".")[0] not in {"pydantic", "pydantic_core", *sys.stdlib_module_names})
    }
    assert others == set()


def test_no_module_is_longer_than_a_newcomer_reads_at_once() -> None:
    long = {
        name: lines
        for name, path in modules(ROOT, *_FOLDERS)
        if not is_migration(name) and (lines := len(path.read_text().splitlines())) > _MOST_LINES
    }
    assert long == {}
