"""order_service's database is set back under running processes: deletions that it has forgotten take effect again."""

from typing import Any
from uuid import uuid4

import pytest

from deploy.local.demo.evidence import Evidence
from deploy.local.demo.upstream import Answer, Upstream, upstream_of
from deploy.local.services import RunningSystem
from shared.kit.kafka import Kafka
from tests.backups import Backup
from tests.conftest import eventually


async def statuses(evidence: Evidence, account: str) -> set[str]:
    query = "SELECT DISTINCT status FROM orders WHERE account_id = $1::uuid"
    return {row["status"] for row in await evidence.rows("order_service", query, account)}


async def place(upstream: Upstream, account: str) -> Answer:
    order = {
        "user_id": str(uuid4()),
        "account_id": account,
        "cash_amount": "10.00",
        "currency": "EUR",
        "side": "BUY",
    }
    return await upstream.call("order_service", "POST", "/portfolios/orders", order)


async def configured(upstream: Upstream) -> str:
    async def made(path: str, body: dict[str, Any]) -> Any:
        answer = await upstream.call("config_service", "POST", path, body)
        assert answer.status == 201, answer
        return answer.json

    item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
    allocation = await made("/portfolios/allocations", {"allocation": [item]})
    account = await made("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    link = {"account_id": account["account_id"], "allocation_id": allocation["allocation_id"]}
    await made("/portfolios/configurations", link)
    return str(account["account_id"])


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
