"""The seed's story, step by step: what is asked for, and what shows that it happened."""

from functools import partial
from uuid import UUID, uuid4

from deploy.local.demo.stage import Account, Stage
from deploy.local.demo.telling import must
from deploy.local.demo.upstream import SOURCE
from shared.contracts import (
    CONFIGURATIONS_EVENTS,
    ORDERS_EVENTS,
    SUBSCRIPTIONS_EVENTS,
    CreateConfiguration,
    FillOrder,
    StartOrderProcessing,
)

#: The investment API's own example, to the letter. Its allocation id ends in `g` and is no UUID.
SEED_BODY = """{
"account_id": "eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c",
"allocation_id": "24c230eb-5d4f-4462-9af8-6612e7bd3afg"
}"""
SEED_ACCOUNT = "eb5ba93f-5dfe-4bf1-8571-4dadcaacc80c"
SEED_ALLOCATION = "24c230eb-5d4f-4462-9af8-6612e7bd3afg"

#: Every topic that somebody consumes, and the groups that must park what they cannot read there.
CONSUMED = {
    "configurations.commands.v1": ["config_service.commands"],
    "configurations.events.v1": ["order_service.copies", "webhook_dispatcher.copies", "webhook_dispatcher.events"],
    "accounts.events.v1": ["order_service.copies", "webhook_dispatcher.copies", "webhook_dispatcher.events"],
    "orders.commands.v1": ["order_service.commands"],
    "rebalancings.commands.v1": ["order_service.commands"],
    "orders.events.v1": ["webhook_dispatcher.events"],
    "allocations.events.v1": ["webhook_dispatcher.events"],
    "rebalancings.events.v1": ["webhook_dispatcher.rebalancings"],
}

REBALANCING = "REBALANCING_EXECUTION_ORDER.NEW"

_TURNED = "portfolio_bus_loop_turned_seconds"

#: Workers whose turn does not come in a story of two accounts: they have to be there all the same.
IN_RESERVE = {
    "order_service": {"rebalancing"},
    "webhook_dispatcher": {"disabling", "recoveries", "retention"},
}


class Story:
    """What happens to two accounts of one client."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._system = stage.system
        self._upstream = stage.upstream
        self._evidence = stage.evidence
        self._receiver = stage.receiver
        self._teller = stage.teller
        self._user = str(uuid4())
        self._allocation = ""
        self._anna = Account("", "Anna's account")
        self._ben = Account("", "Ben's account")

    async def play(self) -> None:
        """Every step in order; the first that does not hold raises."""
        for title, step in (
            ("The services keep house and the client signs in", self._begin),
            ("Upstream opens two accounts and makes an allocation", self._open),
            ("The accounts are configured, one by HTTP and one by a command on Kafka", self._configure),
            ("A subscriber asks for webhooks, and another one is gone", self._subscribe),
            ("Orders are placed and some of them move on", self._place),
            ("A rebalancing engine publishes an event for each account", self._rebalance_both),
            ("The configuration of Anna's account is deleted", self._delete),
            ("The next rebalancing event of Anna's account goes nowhere, Ben's arrives", self._suppress),
            ("Anna's account is configured anew, and its events flow again", self._configure_anew),
            ("Something unreadable on every consumed topic is parked and holds nothing up", self._poison),
            ("order_service is killed between the deletion and the cancellation", self._kill),
        ):
            with self._teller.step(title):
                await step()

    async def _begin(self) -> None:
        query = "SELECT ended_at FROM housekeeping WHERE ended_at > $1"
        for name, service in self._system.services.items():
            # Since this process began: another may have kept house before it.
            await self._teller.eventually(
                f"{name} has done its housekeeping",
                partial(self._evidence.rows, name, query, service.began),
            )
        self._teller.seen(f"POST /auth/token grants {await self._upstream.sign_in()}")
        for name, workers in IN_RESERVE.items():
            measured = (await self._upstream.call(name, "GET", "/metrics")).body.decode()
            missing = {each for each in workers if f'{_TURNED}{{loop="{each}"}}' not in measured}
            must(f"{', '.join(sorted(missing))} of {name} turn", not missing)
            self._teller.seen(f"GET /metrics of {name} tells that {', '.join(sorted(workers))} turn")

    async def _open(self) -> None:
        for account in (self._anna, self._ben):
            made = await self._stage.ok(
                "POST", "/accounts", {"user_id": self._user, "type": "PORTFOLIO", "name": account.name}
            )
            account.id = made["account_id"]
            self._teller.did(f"POST /accounts → 201, {account.name} is {account.id}")
        weights = [
            {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "0.7"},
            {"instrument_id": "DE0007164600", "instrument_id_type": "ISIN", "weight": "0.3"},
        ]
        made = await self._stage.ok("POST", "/portfolios/allocations", {"name": "70/30", "allocation": weights})
        self._allocation = made["allocation_id"]
        self._teller.did(f"POST /portfolios/allocations → 201, {self._allocation}")

    async def _configure(self) -> None:
        body = SEED_BODY.replace(SEED_ACCOUNT, self._anna.id)
        answer = await self._upstream.call("config_service", "POST", "/portfolios/configurations", body)
        must(f"the seed's body as it stands is answered {answer.status}, not 400", answer.status == 400)  # noqa: PLR2004
        fields = [error["location"] for error in answer.json["errors"]]
        must(f"the problem names body.allocation_id, not {fields}", fields == ["body.allocation_id"])
        self._teller.seen(f"the seed's allocation_id is no UUID: 400, {answer.json['errors'][0]}")

        await self._configure_by_http(self._anna, version=1)
        command = CreateConfiguration(account_id=UUID(self._ben.id), allocation_id=UUID(self._allocation))
        await self._stage.command_done(f"CreateConfiguration for {self._ben.name}", await self._upstream.send(command))
        await self._teller.eventually(
            "configurations.events.v1 has ConfigurationCreated, version 1, for both",
            self._both_configured,
        )

    async def _both_configured(self) -> bool:
        found = [
            await self._evidence.messages(CONFIGURATIONS_EVENTS.name, key=account.id, kind="ConfigurationCreated")
            for account in (self._anna, self._ben)
        ]
        return all(each and each[-1]["version"] == 1 for each in found)

    async def _subscribe(self) -> None:
        wanted = ["REBALANCING_EXECUTION_ORDER", "PORTFOLIO_ORDER"]
        hooks = {"title": "the demo", "url": f"{self._receiver.url}/hooks", "type": wanted}
        made = await self._stage.ok("POST", "/webhooks", hooks, service="webhook_dispatcher")
        self._receiver.secret, self._hook = made["secret"], UUID(made["id"])
        self._teller.did(f"POST /webhooks → 201 for {', '.join(wanted)}; the secret is shown this once")
        gone = {"title": "gone", "url": f"{self._receiver.url}/gone", "type": ["PORTFOLIO_ORDER"]}
        self._gone = (await self._stage.ok("POST", "/webhooks", gone, service="webhook_dispatcher"))["id"]
        self._teller.did("POST /webhooks → 201 for an endpoint that will answer 410 Gone")

    async def _place(self) -> None:
        for status in ("NEW", "PROCESSING", "FILLED"):
            self._anna.orders[status] = await self._place_order(self._anna)
        self._ben.orders["NEW"] = await self._place_order(self._ben)
        self._teller.did("POST /portfolios/orders → 201, three for Anna and one for Ben, with configuration version 1")
        account = UUID(self._anna.id)
        for status in ("PROCESSING", "FILLED"):
            start = StartOrderProcessing(account_id=account, order_id=UUID(self._anna.orders[status]))
            await self._stage.command_done("StartOrderProcessing", await self._upstream.send(start))
        fill = FillOrder(account_id=account, order_id=UUID(self._anna.orders["FILLED"]))
        await self._stage.command_done("FillOrder", await self._upstream.send(fill))
        await self._expect_statuses({"NEW": "NEW", "PROCESSING": "PROCESSING", "FILLED": "FILLED"})
        await self._stage.webhook(self._anna, "PORTFOLIO_ORDER.FILLED", 1)
        await self._teller.eventually(
            "the endpoint that is gone was asked, its subscription disabled, ops told on subscriptions.events.v1",
            lambda: self._evidence.messages(SUBSCRIPTIONS_EVENTS.name, key=self._gone, kind="SubscriptionDisabled"),
        )

    async def _rebalance_both(self) -> None:
        for account in (self._anna, self._ben):
            await self._upstream.rebalance(account.id)
            await self._stage.webhook(account, REBALANCING, 1)

    async def _delete(self) -> None:
        await self._delete_configuration(self._anna)
        await self._expect_statuses({"NEW": "CANCELLED", "PROCESSING": "PROCESSING", "FILLED": "FILLED"})
        order = await self._stage.ok(
            "GET", f"/portfolios/orders/{self._anna.orders['NEW']}", service="order_service", status=200
        )
        must(f"the reason is CONFIGURATION_DELETED, not {order['cancellation_reason']}",
             order["cancellation_reason"] == "CONFIGURATION_DELETED")  # fmt: skip
        self._teller.seen("order_service shows it CANCELLED with CONFIGURATION_DELETED")
        cancelled = await self._teller.eventually(
            "orders.events.v1 has OrderCancelled",
            partial(self._evidence.messages, ORDERS_EVENTS.name, key=self._anna.id, kind="OrderCancelled"),
        )
        must(f"it has one, of the order that was NEW, not {cancelled}",
             [each["id"] for each in cancelled] == [self._anna.orders["NEW"]])  # fmt: skip
        await self._stage.webhook(self._anna, "PORTFOLIO_ORDER.CANCELLED", 1)

    async def _suppress(self) -> None:
        event = await self._upstream.rebalance(self._anna.id)
        await self._upstream.rebalance(self._ben.id)
        await self._stage.webhook(self._ben, REBALANCING, 2)
        query = "SELECT state, reason FROM deliveries WHERE event_id = $1 AND subscription_id = $2"
        (row,) = await self._teller.eventually(
            "webhook_dispatcher has recorded what became of Anna's event",
            lambda: self._evidence.rows("webhook_dispatcher", query, event, self._hook),
        )
        must(f"it is SUPPRESSED, not {row['state']}", row["state"] == "SUPPRESSED")
        came = len(self._receiver.of(self._anna.id, REBALANCING))
        must(f"the subscriber has got one rebalancing event of Anna's account, not {came}", came == 1)
        self._teller.seen(f"it is SUPPRESSED ({row['reason']}), and the subscriber never saw it")

    async def _configure_anew(self) -> None:
        await self._configure_by_http(self._anna, version=2)
        # An engine learns of the new version from the bus; an event before that would belong to no configuration.
        await self._teller.eventually(
            "configurations.events.v1 has ConfigurationCreated, version 2",
            lambda: self._stage.in_topic(self._anna, "ConfigurationCreated", version=2),
        )
        await self._upstream.rebalance(self._anna.id)
        await self._stage.webhook(self._anna, REBALANCING, 2)

    async def _poison(self) -> None:
        key = str(uuid4())
        for topic in CONSUMED:
            await self._upstream.send_raw(topic, key.encode(), b"\xff no message", [("ce_source", SOURCE.encode())])
        self._teller.did(f"sent unreadable bytes to {len(CONSUMED)} topics")
        for group in sorted({group for groups in CONSUMED.values() for group in groups}):
            topics = {topic for topic, groups in CONSUMED.items() if group in groups}

            async def all_parked(group: str = group, topics: set[str] = topics) -> bool:
                return {entry["parked-topic"] for entry in await self._evidence.parked(group, key)} == topics

            await self._teller.eventually(f"{group}.parked.v1 has one from each of {len(topics)} topics", all_parked)
        self._ben.orders["after the poison"] = await self._place_order(self._ben)
        await self._stage.webhook(self._ben, "PORTFOLIO_ORDER.NEW", 2)

    async def _kill(self) -> None:
        orders = [await self._place_order(self._anna) for _ in range(3)]
        service = self._system.services["order_service"]
        service.pause()
        self._teller.did("order_service is paused, so that it cannot see what comes")
        await self._delete_configuration(self._anna)
        await self._teller.eventually(
            "configurations.events.v1 has ConfigurationDeleted, version 2",
            lambda: self._stage.in_topic(self._anna, "ConfigurationDeleted", version=2),
        )
        service.kill()
        self._teller.did("order_service is killed with SIGKILL")
        query = "SELECT count(*) AS waiting FROM orders WHERE id = ANY($1::uuid[]) AND status = 'NEW'"
        (row,) = await self._evidence.rows("order_service", query, orders)
        must(f"all three orders are still NEW, not {row['waiting']}", row["waiting"] == len(orders))
        self._teller.seen("its database has the three orders still NEW")
        service.restart()
        self._teller.did("order_service is started again")

        async def none_new() -> bool:
            return not (await self._evidence.rows("order_service", query, orders))[0]["waiting"]

        await self._teller.eventually("its database has none of them NEW", none_new)
        await self._stage.webhook(self._anna, "PORTFOLIO_ORDER.CANCELLED", 1 + len(orders))
        must(f"{self._receiver.forged} webhooks had a wrong signature", not self._receiver.forged)
        self._teller.seen(f"all {len(self._receiver.events)} webhooks had a signature that holds")

    async def _configure_by_http(self, account: Account, *, version: int) -> None:
        body = SEED_BODY.replace(SEED_ACCOUNT, account.id).replace(SEED_ALLOCATION, self._allocation)
        made = await self._stage.ok("POST", "/portfolios/configurations", body)
        must(f"the version is {made['version']}, not {version}", made["version"] == version)
        self._teller.did(f"POST /portfolios/configurations → 201, version {version}")

    async def _delete_configuration(self, account: Account) -> None:
        answer = await self._upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account.id}")
        must(f"DELETE is answered 204 and nothing, not {answer}", answer.status == 204 and not answer.body)  # noqa: PLR2004
        self._teller.did("DELETE /portfolios/configurations/{account_id} → 204, no body")

    async def _place_order(self, account: Account) -> str:
        order = {
            "user_id": self._user,
            "account_id": account.id,
            "cash_amount": "100.00",
            "currency": "EUR",
            "side": "BUY",
        }
        return str((await self._stage.ok("POST", "/portfolios/orders", order, service="order_service"))["id"])

    async def _expect_statuses(self, expected: dict[str, str]) -> None:
        query = "SELECT id::text, status FROM orders WHERE id = ANY($1::uuid[])"
        wanted = {self._anna.orders[name]: status for name, status in expected.items()}

        async def as_expected() -> bool:
            rows = await self._evidence.rows("order_service", query, list(wanted))
            return {row["id"]: row["status"] for row in rows} == wanted

        told = ", ".join(f"{name} → {status}" for name, status in expected.items() if name != status) or "as asked for"
        await self._teller.eventually(f"order_service's database has Anna's orders {told}", as_expected)
