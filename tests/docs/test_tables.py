"""The tables of the documents say what the code says; `python -m tests.docs.tables` writes them anew."""

import re
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from shared.kit import schema
from shared.kit.settings import async_url

from .documents import REPOSITORY, documents, generated_tables
from .tables import TABLES, services

ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"


@pytest.mark.parametrize("name", TABLES)
def test_a_generated_table_is_the_one_that_the_code_makes(name: str) -> None:
    written = [tables[name] for tables in map(generated_tables, documents()) if name in tables]
    assert written == [TABLES[name]()]


def test_every_generated_table_is_known() -> None:
    assert {name for document in documents() for name in generated_tables(document)} == set(TABLES)


def _tables_told(document: Path, database: str) -> set[str]:
    (row,) = re.findall(rf"^\| {database} \| (.+?) \|$", document.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", row))


@pytest.mark.parametrize("service", [None, *(service.name for service in services())])
async def test_the_tables_of_each_database_are_told(service: str | None, fresh_database: Callable[[], str]) -> None:
    dsn = fresh_database()
    await schema.migrate(async_url(dsn), f"services.{service}" if service else None)
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') "
            "AND NOT relispartition"
        )
    finally:
        await connection.close()
    there = {row["relname"] for row in found} - {"alembic_version"}
    kits = _tables_told(ARCHITECTURE, "every service")
    assert there == (kits | _tables_told(ARCHITECTURE, service) if service else kits)


def test_the_workers_of_each_service_are_told() -> None:
    text = ARCHITECTURE.read_text()
    for service in services():
        for worker in service.workers:
            assert f"`{worker}`" in text, (service.name, worker)


def test_the_local_stacks_variables_are_told() -> None:
    code = "".join(file.read_text() for file in (REPOSITORY / "deploy" / "local").glob("*.py"))
    variables = set(re.findall(r"PORTFOLIO_BUS_STACK_\w+", code))
    assert variables == set(re.findall(r"PORTFOLIO_BUS_STACK_\w+", (REPOSITORY / "README.md").read_text()))
