"""order_service's database is set back under running processes: deletions that it has forgotten take effect again."""

import pytest

from deploy.local.demo.evidence import Evidence
from deploy.local.demo.upstream import upstream_of
from deploy.local.services import RunningSystem
from shared.kit.kafka import Kafka
from tests.backups import Backup
from tests.conftest import eventually

from .asking import configured, place


async def statuses(evidence: Evidence, account: str) -> set[str]:
    query = "SELECT DISTINCT status FROM orders WHERE account_id = $1::uuid"
    return {row["status"] for row in await evidence.rows("order_service", query, account)}


@pytest.mark.timeout(120)
async def test_no_order_stays_new_under_a_deletion_that_the_database_has_forgotten(
    system: RunningSystem,
) -> None:
    kafka = Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="set-back")
    backup = Backup(system.databases["order_service"])
    async with upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        evidence = Evidence(system, kafka)
        account = await configured(upstream)

        async def taken() -> bool:
            return (await place(upstream, account)).status == 201

        await eventually(taken)
        assert await statuses(evidence, account) == {"NEW"}
        await backup.take()
        answer = await upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account}")
        assert answer.status == 204, answer
        await eventually(lambda: only_cancelled(evidence, account))

        await backup.set_back()
        # What is taken meanwhile is taken under the version that is known, and has to go with it.
        while not await only_cancelled(evidence, account):
            await place(upstream, account)
        refused = await place(upstream, account)

    assert refused.status == 422, refused
    assert await statuses(evidence, account) == {"CANCELLED"}


async def only_cancelled(evidence: Evidence, account: str) -> bool:
    return await statuses(evidence, account) == {"CANCELLED"}
