"""P3 Effect once: one effect of every accepted request and command, one delivery of every event, equal copies."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence


def placed_once(evidence: Evidence) -> Iterator[Violation]:
    """An accepted order is there once, under the reference that it was asked for with; a refused one is not."""
    found = Counter(row["client_reference"] for row in evidence.orders if row["kind"] == "PORTFOLIO")
    done = {asked["op"] for asked, _ in evidence.accepted("place")}
    references = set()
    for op, asked in evidence.asked.items():
        if asked.get("act") != "place":
            continue
        reference = asked.get("reference", op)
        references.add(reference)
        expected = 1 if op in done else 0
        if op in evidence.told and found[reference] != expected:
            answer = evidence.told[op]["status"]
            sentence = f"the order asked for with {op}, answered {answer}, is there {found[reference]} times"
            yield Violation("P3", sentence, asked["account"])
    for reference in found.keys() - references:
        yield Violation("P3", f"nobody has asked for the order with the reference {reference}")


def opened_once(evidence: Evidence) -> Iterator[Violation]:
    """An account that was opened is there once."""
    found = Counter(row["name"] for row in evidence.accounts)
    for asked, told in evidence.accepted("open"):
        if found[asked["op"]] != 1:
            sentence = f"the account opened with {asked['op']} is there {found[asked['op']]} times"
            yield Violation("P3", sentence, told["resource"]["account_id"])


def configured_once(evidence: Evidence) -> Iterator[Violation]:
    """An account has had as many versions as it was configured, and stands as it was left."""
    configured = Counter(asked["account"] for asked, _ in evidence.accepted("configure"))
    deleted: Counter[str] = Counter()
    for op, asked in evidence.asked.items():
        # 404 is the answer to a repetition.
        if asked.get("act") == "delete" and evidence.told.get(op, {}).get("status") in {204, 404, "accepted"}:
            deleted[asked["account"]] += 1
    for row in evidence.configurations:
        account = row["account_id"]
        expected = (configured[account], configured[account] > deleted[account])
        if (row["version"], row["configured"]) != expected:
            sentence = f"version and configured are {row['version']}, {row['configured']}, not {expected}"
            yield Violation("P3", sentence, account)


def moved_once(evidence: Evidence) -> Iterator[Violation]:
    """An order was moved by as many commands as its row shows moves, each to another status."""
    stamps = {
        "StartOrderProcessing": "processing_at",
        "FillOrder": "filled_at",
        "SettleOrder": "settled_at",
    }
    moves: dict[str, Counter[str]] = defaultdict(Counter)
    for asked, _ in evidence.accepted("move"):
        moves[asked["order"]][asked["command"]] += 1
    for row in evidence.orders:
        for command, stamp in stamps.items():
            expected = 0 if row[stamp] is None else 1
            if moves[row["id"]][command] != expected:
                sentence = (
                    f"{command} of order {row['id']} was accepted {moves[row['id']][command]} times, not {expected}"
                )
                yield Violation("P3", sentence, row["account_id"])


def rebalanced_once(evidence: Evidence) -> Iterator[Violation]:
    """An accepted rebalancing has one order for its account."""
    found = Counter((row["execution_id"], row["account_id"]) for row in evidence.orders if row["execution_id"])
    for asked, told in evidence.accepted("rebalance"):
        execution = told["resource"]["id"]
        if found[execution, asked["account"]] != 1:
            sentence = f"execution {execution} has {found[execution, asked['account']]} orders"
            yield Violation("P3", sentence, asked["account"])


def replied_once(evidence: Evidence) -> Iterator[Violation]:
    """All replies to a command have one id and say the same."""
    replies: dict[str, set[tuple[str | None, bool]]] = defaultdict(set)
    for record in evidence.records("commands.replies.v1"):
        replies[record.body["command_id"]].add((record.id, "problem" in record.body))
    for op, told in replies.items():
        if len(told) > 1:
            account = evidence.asked.get(op, {}).get("account")
            yield Violation("P3", f"command {op} was answered in {len(told)} ways", account)


def planned_once(evidence: Evidence) -> Iterator[Violation]:
    """An event becomes one delivery for one subscription."""
    for (subscription, event), rows in evidence.deliveries_of.items():
        if len(rows) > 1:
            sentence = f"event {event} became {len(rows)} deliveries for subscription {subscription}"
            yield Violation("P3", sentence, rows[0]["account_id"])


def copies_agree(evidence: Evidence) -> Iterator[Violation]:
    """Each service's copy of a configuration is what config_service has."""
    fields = ("version", "configured", "revision", "client_id")
    truth = {row["account_id"]: tuple(row[field] for field in fields) for row in evidence.configurations}
    for keeper, rows in (("order_service", evidence.account_copies), ("webhook_dispatcher", evidence.gates)):
        copies = {row["account_id"]: tuple(row[field] for field in fields) for row in rows}
        for account, owned in truth.items():
            if copies.get(account) != owned:
                sentence = f"{keeper} has the configuration as {copies.get(account)}, and it is {owned}"
                yield Violation("P3", sentence, account)
