"""Whether a database has what a process needs: not before its migrations, and also while a newer version rolls out."""

import re
from collections.abc import Callable

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
