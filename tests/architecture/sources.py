"""The sources as the tests of this folder read them: as files, as syntax trees and as comments."""

import ast
import tokenize
import tomllib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_FILES_KEPT = 2000
#: what stands in the folder of the repository without being part of it
_NOT_OURS = {".git", ".venv", ".local", "dist", "__pycache__", "bench-results", ".hypothesis"}


def files(folder: Path) -> Iterator[Path]:
    """All files under `folder` that belong to the repository, in order."""
    for path in sorted(folder.iterdir()):
        if path.name in _NOT_OURS or path.name.endswith(("_cache", ".pyc")):
            continue
        if path.is_dir():
            yield from files(path)
        else:
            yield path


def modules(root: Path, *folders: str) -> Iterator[tuple[str, Path]]:
    """The Python files under these folders of `root`, each with its path from there."""
    for folder in folders:
        for path in files(root / folder):
            if path.suffix == ".py":
                yield path.relative_to(root).as_posix(), path


def is_migration(name: str) -> bool:
    """Whether this module is one that Alembic loads by its path."""
    return "/migrations/" in name


def nodes(path: Path) -> Sequence[tuple[str, ast.AST]]:
    """Every node of a module, with the name of the function or method that it stands in."""
    return _nodes_in(path.read_bytes())


# Each planted violation is looked for in all sources, of which one file has changed.
@lru_cache(_FILES_KEPT)
def _nodes_in(source: bytes) -> Sequence[tuple[str, ast.AST]]:
    return tuple(_inside(ast.parse(source), ""))


def _inside(node: ast.AST, place: str) -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(node):
        yield place, child
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _inside(child, f"{place}.{child.name}".lstrip("."))
        else:
            yield from _inside(child, place)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """What a module imports: the number of leading dots and the name behind them."""
    for _, node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or ""


def comments(path: Path) -> Sequence[tuple[int, str]]:
    """The comments of a module, with their line numbers."""
    return _comments_in(path.read_bytes())


@lru_cache(_FILES_KEPT)
def _comments_in(source: bytes) -> Sequence[tuple[int, str]]:
    tokens = tokenize.tokenize(BytesIO(source).readline)
    return tuple((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)


def project() -> dict[str, Any]:
    """The contents of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def services(root: Path) -> list[str]:
    """The names of the services: the packages under `services`."""
    return sorted(path.name for path in (root / "services").iterdir() if (path / "__init__.py").is_file())
