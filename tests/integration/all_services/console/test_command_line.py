"""The command line `portfolio-bus` against the running services: what ops do by hand."""

import asyncio
import json
import signal
from typing import Any
from uuid import UUID, uuid4

import psutil
import pytest

from deploy.local.services import RunningSystem
from tests.conftest import PARTITIONS, eventually
from tests.integration.all_services.estates import World

from .conftest import CommandLine

NOT_WELL = 3


async def test_an_accounts_story_is_told_across_the_services_in_one_order(console: CommandLine, account: str) -> None:
    async def story() -> list[dict[str, Any]] | None:
        told: list[dict[str, Any]] = await console.sees("account", account.upper(), "--json")
        return told if [each for each in told if "SUPPRESSED" in each["detail"]] else None

    told = await eventually(story, every=0.3)
    assert [each["at"] for each in told] == sorted(each["at"] for each in told)
    what = [each["what"] for each in told]
    in_this_order = [
        "AccountCreated",
        "CreateConfiguration",
        "ConfigurationCreated",
        "OrderPlaced",
        "DeleteConfiguration",
        "ConfigurationDeleted",
        "OrderCancelled",
        "RebalancingOrderCancelled",
        "delivery of REBALANCING_EXECUTION_ORDER.CANCELLED",
    ]
    assert [each for each in what if each in in_this_order] == in_this_order
    cancelled = told[what.index("OrderCancelled")]
    assert "cancellation_reason=CONFIGURATION_DELETED" in cancelled["detail"]
    assert "SUPPRESSED NOT_CONFIGURED after 0 attempts" in told[-1]["detail"]
    suppressed = await console.sees("deliveries", "--account", account, "--state", "SUPPRESSED", "--json")
    assert [each["account_id"] for each in suppressed] == [account]

    unknown = await console.types("account", str(uuid4()))
    assert (unknown.exit_code, unknown.stdout.startswith("Nothing is known of")) == (1, True)


async def test_a_command_that_is_rejected_shows_the_problem_and_exits_with_1(
    console: CommandLine, account: str
) -> None:
    ran = await console.types("send", "DeleteConfiguration", given=json.dumps({"account_id": account}))
    told = json.loads(ran.stdout)
    assert (ran.exit_code, told["reply"], told["problem"]["status"]) == (1, "CommandRejected", 404)
    wrong = await console.types("send", "DeleteConfiguration", given="{}")
    assert (wrong.exit_code, "account_id: Field" in wrong.stderr) == (2, True)


async def test_what_came_is_tailed_by_type_and_account(console: CommandLine, account: str) -> None:
    asked = ("--minutes", "60", "--type", "OrderCancelled", "--account", account, "--limit", "1", "--json")
    told = await console.sees("tail", *asked)
    assert (told["topic"], told["key"], told["body"]["status"]) == ("orders.events.v1", account, "CANCELLED")


@pytest.mark.usefixtures("account")
async def test_topics_groups_and_outboxes_are_seen_to_be_well(console: CommandLine) -> None:
    topics = {each["name"]: each for each in await console.sees("topics", "--window", "0", "--json")}
    seen = topics["configurations.events.v1"]
    assert (seen["partitions"], seen["replicas"], seen["kept"]) == (PARTITIONS, 1, "compact")
    assert seen["records"] >= 2
    assert seen["last_record_at"]
    assert topics["order_service.commands.parked.v1"]["last_record_at"] is None

    async def caught_up() -> Any:
        ran = await console.types("lag", "--window", "1", "--check", "--json")
        return ran.exit_code == 0 and json.loads(ran.stdout)

    groups = {each["name"]: each for each in await eventually(caught_up, every=0.2)}
    assert groups.keys() == {
        "config_service.commands",
        "order_service.commands",
        "order_service.copies",
        "webhook_dispatcher.copies",
        "webhook_dispatcher.events",
        "webhook_dispatcher.rebalancings",
    }
    assert {(each["state"], each["members"]) for each in groups.values()} == {("OK", 1)}
    assert not [part for each in groups.values() for part in each["partitions"] if part["records"]]
    table = await console.types("lag", "--group", "order_service.copies", "--window", "0")
    assert "accounts.events.v1" in table.stdout

    outboxes = await console.sees("outbox", "--check", "--json")
    assert {each["service"] for each in outboxes} == {"config_service", "order_service", "webhook_dispatcher"}


async def test_a_parked_message_is_listed_shown_and_sent_back(console: CommandLine, produces: Any) -> None:
    group = "order_service.commands"
    nothing = await console.types("parked", "list", "--check")
    assert (nothing.exit_code, nothing.stdout) == (0, "No messages are parked.\n")
    await produces("orders.commands.v1", b"no [bold]command")

    async def parked(at_least: int) -> Any:
        found = await console.sees("parked", "list", "--group", group, "--json")
        return len(found) >= at_least and found

    (found,) = await eventually(lambda: parked(1), every=0.2)
    assert (found["reason"], found["topic"]) == ("missing_attribute", "orders.commands.v1")
    whole = await console.sees("parked", "show", found["id"])
    assert (whole["key"], whole["value"]) == ("a key", "no [bold]command")
    table = await console.types("parked", "list", "--check")
    assert (table.exit_code, f"{group}: 1 parked for missing_attribute" in table.stdout) == (NOT_WELL, True)

    assert await console.sees("parked", "redrive", group, "--reason", "another", "--json") == {group: 0}
    assert await console.sees("parked", "redrive", "--id", found["id"], "--json") == {group: 1}
    again = await eventually(lambda: parked(2), every=0.2)
    assert {each["id"] for each in again} == {found["id"]}, "it keeps the place where it first stood"
    for wrong in (["--id", f"{group}/x/0/0"], ["order_service.nobody"], ["nobody.commands"]):
        ran = await console.types("parked", "redrive", *wrong)
        assert (ran.exit_code, ran.output.count("\n")) == (1, 1), ran.output


async def test_a_client_is_made_given_a_new_secret_and_revoked(console: CommandLine) -> None:
    made = await console.sees("clients", "create", "--name", "a new one", "--scopes", "accounts:read")
    rotated = await console.sees("clients", "rotate", made["client_id"], "--overlap", "0")
    assert rotated["client_secret"] != made["client_secret"]
    listed = await console.sees("clients", "list", "--json")
    assert made["client_id"] in {each["client_id"] for each in listed}
    revoked = await console.types("clients", "revoke", made["client_id"])
    assert (revoked.exit_code, revoked.stdout) == (0, f"The client {made['client_id']} is revoked.\n")
    assert made["client_id"] in (await console.types("clients", "list", "--revoked")).stdout
    refused = await console.types("clients", "create", "--name", "x", "--scopes", "accounts:write")
    assert (refused.exit_code, refused.stderr.startswith("config_service answers 400")) == (1, True)


async def test_a_listener_verifies_what_arrives_answers_as_asked_and_unsubscribes(
    console: CommandLine, world: World, client: UUID
) -> None:
    wanted = ("--type", "ACCOUNT.CREATED", "--answer", "500", "--times", "1", "--limit", "2", "--json")
    listening = await console.starts("listen", *wanted)
    assert listening.stderr
    assert b"Listening at http://127.0.0.1:" in await listening.stderr.readline()
    account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
    made = await world.made(client, "config_service", "/accounts", account)
    said, wrong = await listening.communicate()
    assert listening.returncode == 0, wrong
    first, second = map(json.loads, said.decode().splitlines())
    assert (first["answered"], second["answered"]) == ("500", "200")
    assert (first["message_id"], first["verified"], second["verified"]) == (second["message_id"], True, True)
    assert second["body"]["payload"][0]["object"]["account_id"] == made["account_id"]
    left = await world.ask("webhook_dispatcher", "GET", "/webhooks", world.token(client))
    assert "portfolio-bus listen" not in {each["title"] for each in left.body["data"]}


async def test_a_listener_that_hangs_is_stopped_and_unsubscribes(
    console: CommandLine, world: World, client: UUID
) -> None:
    listening = await console.starts("listen", "--type", "ACCOUNT.CREATED", "--answer", "hang", "--json")
    assert listening.stdout
    account = {"user_id": str(uuid4()), "type": "PORTFOLIO"}
    assert listening.stderr
    await listening.stderr.readline()
    await world.made(client, "config_service", "/accounts", account)
    assert json.loads(await listening.stdout.readline())["answered"] == "nothing"
    listening.send_signal(signal.SIGINT)
    _, wrong = await listening.communicate()
    assert (listening.returncode, wrong) == (130, b"")
    left = await world.ask("webhook_dispatcher", "GET", "/webhooks", world.token(client))
    assert "portfolio-bus listen" not in {each["title"] for each in left.body["data"]}


async def test_a_group_that_hangs_is_stalled_and_one_that_is_stopped_is_stopped(
    console: CommandLine, system: RunningSystem, world: World, client: UUID
) -> None:
    async def state_of(group: str) -> tuple[str, int]:
        ran = await console.types("lag", "--group", group, "--window", "0.5", "--check", "--json")
        (seen,) = json.loads(ran.stdout)
        assert (ran.exit_code == NOT_WELL) == (seen["state"] != "OK")
        return seen["state"], sum(each["records"] for each in seen["partitions"])

    async def becomes(group: str, state: str) -> int:
        async def it_is() -> int | None:
            seen, records = await state_of(group)
            return records + 1 if seen == state else None

        return int(await eventually(it_is, seconds=15, every=0.1)) - 1

    hanging = psutil.Process(system.services["order_service"].pid)
    hanging.suspend()
    await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    assert await becomes("order_service.copies", "STALLED") >= 1
    hanging.resume()
    await becomes("order_service.copies", "OK")
    await asyncio.to_thread(system.services["order_service"].stop)
    await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    assert await becomes("order_service.copies", "STOPPED") >= 1
