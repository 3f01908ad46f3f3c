"""Only the kit begins and ends transactions, and only declared places catch whatever is raised."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .declared import CATCHES_ALL
from .planting import Tree
from .sources import ROOT, is_migration, modules, nodes

#: the methods that begin or end a transaction, and what would make a way around the kit's
_TRANSACTIONAL = {"begin", "begin_nested", "begin_twophase", "commit", "rollback", "savepoint"}
_WAYS_AROUND = {"create_engine", "create_async_engine", "raw_connection", "get_raw_connection", "engine"}
_AS_SQL = re.compile(r"\s*(BEGIN|START\s+TRANSACTION|COMMIT|ROLLBACK|SAVEPOINT)\b")


def transactions(root: Path) -> Iterator[str]:
    """Where the services touch transactions themselves."""
    for name, path in modules(root, "services"):
        for place, node in nodes(path):
            if not is_migration(name) and _touches_transactions(node):
                yield f"{name} {place}"


def _touches_transactions(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(attr=word) | ast.Name(id=word) | ast.alias(name=word):
            return word in _TRANSACTIONAL | _WAYS_AROUND
        case ast.Constant(value=str(text)):
            return bool(_AS_SQL.match(text))
        case ast.keyword(arg="isolation_level"):
            return True
    return False


def catches_all(root: Path) -> Iterator[str]:
    """Where any exception is caught and not simply raised again."""
    for name, path in modules(root, "services", "shared"):
        for place, node in nodes(path):
            if _catches_all(node):
                yield f"{name} {place}"


def _catches_all(node: ast.AST) -> bool:
    match node:
        case ast.ExceptHandler(body=[*_, ast.Raise(exc=None)]):
            return False
        case ast.ExceptHandler(type=caught):
            return caught is None or _names_everything(caught)
        case ast.Call(func=ast.Attribute(attr="suppress") | ast.Name(id="suppress"), args=caught):
            return any(_names_everything(each) for each in caught)
    return False


def _names_everything(caught: ast.expr) -> bool:
    return any(isinstance(part, ast.Name) and part.id in {"Exception", "BaseException"} for part in ast.walk(caught))


def test_only_the_kit_begins_and_ends_transactions() -> None:
    assert list(transactions(ROOT)) == []


@pytest.mark.parametrize(
    "line",
    [
        "    await work.connection.commit()",
        "    end = work.connection.rollback",
        "    async with work.connection.begin_nested(): pass",
        "    await work.connection.execute(text('COMMIT'))",
        "    await work.connection.execution_options(isolation_level='AUTOCOMMIT')",
        "    database.engine",
        "    from sqlalchemy.ext.asyncio import create_async_engine",
    ],
)
def test_a_transaction_of_a_services_own_is_found(tree: Tree, line: str) -> None:
    with tree.planted("services/order_service/storage/orders.py", f"async def ends(work, database):\n{line}"):
        assert list(transactions(tree.root)) == ["services/order_service/storage/orders.py ends"]


def test_everything_is_caught_in_the_declared_places_alone() -> None:
    assert sorted(set(catches_all(ROOT))) == sorted(CATCHES_ALL)


@pytest.mark.parametrize(
    "clause",
    ["except Exception: pass", "except (ValueError, BaseException): pass", "except: pass"],
)
def test_another_catch_all_is_found(tree: Tree, clause: str) -> None:
    text = f"def quiet():\n    try:\n        pass\n    {clause}"
    with tree.planted("services/order_service/use_cases/orders.py", text):
        assert "services/order_service/use_cases/orders.py quiet" in set(catches_all(tree.root))


def test_suppressing_everything_is_found(tree: Tree) -> None:
    text = "def quiet():\n    with contextlib.suppress(Exception):\n        pass"
    with tree.planted("shared/kit/relay.py", text):
        assert "shared/kit/relay.py quiet" in set(catches_all(tree.root))


def test_a_refusal_or_fault_keeps_the_one_that_caused_it() -> None:
    """`raise` in an `except` says `from`: without it the log cannot tell a cause from a second accident."""
    silent = [
        f"{name}:{each.lineno}"
        for name, path in modules(ROOT, "services", "shared", "deploy")
        for _, node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        for each in ast.walk(node)
        if isinstance(each, ast.Raise) and each.exc is not None and each.cause is None
    ]
    assert silent == []
