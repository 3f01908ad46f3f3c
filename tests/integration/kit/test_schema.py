"""Whether a database has what a process needs: not before its migrations, and also while a newer version rolls out."""

import re
import subprocess
import sys
from collections.abc import Callable

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from deploy.local.services import service_names
from shared.kit import schema
from shared.kit.checks import database_check
from shared.kit.outbox import Outbox
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database
from tests.architecture.sources import ROOT
from tests.conftest import PARTITIONS

PACKAGE = "services.order_service"


async def test_a_process_is_ready_on_its_own_schema_and_on_a_newer_one_and_not_on_an_older(
    fresh_database: Callable[[], str],
) -> None:
    url = async_url(fresh_database())
    database = Database(url, Outbox("/test", PARTITIONS), application="test")
    check = database_check(database, PACKAGE)
    newest = sorted(schema.heads(PACKAGE))
    assert await check() == f"the database lacks {', '.join(newest)}: run `python -m {PACKAGE} migrate`"
    await schema.migrate(url, PACKAGE)
    assert await check() is None

    async def stands_at(revision: str) -> None:
        async with database.unit_of_work() as work:
            moved = text("UPDATE alembic_version SET version_num = :at WHERE version_num LIKE 'order_service%'")
            await work.connection.execute(moved, {"at": revision})

    await stands_at("order_service_9999")
    assert await check() is None, "the version before goes on until the new one has taken its place"
    await stands_at("order_service_0001")
    said = await check()
    assert said is not None
    assert newest[-1] in said
    assert "kit" not in said
    await database.close()


def test_every_migration_is_called_after_its_branch_and_its_number() -> None:
    folders = {f"services/{name}/migrations": name for name in service_names()} | {
        "shared/kit/migrations/versions": "kit"
    }
    for folder, branch in folders.items():
        found = sorted((ROOT / folder).glob("[0-9]*.py"))
        assert found
        for number, path in enumerate(found, 1):
            (revision,) = re.findall(r'^revision = "(\w+)"', path.read_text(), re.MULTILINE)
            assert (revision, path.name[:4]) == (f"{branch}_{number:04}", f"{number:04}")


@pytest.mark.parametrize("name", service_names())
def test_the_newest_migrations_are_those_that_alembic_finds(name: str) -> None:
    package = f"services.{name}"

    assert schema.heads(package) == set(ScriptDirectory.from_config(schema.config_of(package)).get_heads())


@pytest.mark.parametrize("name", service_names())
def test_a_process_that_does_not_migrate_loads_no_alembic(name: str) -> None:
    built = f"import sys, services.{name}.app, shared.kit.command_line; sys.exit('alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", built], cwd=ROOT, check=False).returncode == 0
