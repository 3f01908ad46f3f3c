"""Every check sees the flaw that it is for, and nothing in a run that holds all promises."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from deploy.local.faults.checks import CHECKS, violations_of
from deploy.local.faults.checks.violation import Check
from deploy.local.faults.evidence import Evidence, Parked, Seen

from .runs import ACCOUNT, BEN, a_run, changed

Flaw = Callable[[Evidence], None]

ORDERS, CONFIGURATIONS = "orders.events.v1", "configurations.events.v1"


def test_a_run_that_holds_all_promises_has_no_violation() -> None:
    assert violations_of(a_run()) == []


def rows(name: str, nth: int, /, **told: Any) -> Flaw:
    def plant(run: Evidence) -> None:
        setattr(run, name, changed(getattr(run, name), nth, **told))

    return plant


def without(name: str, at: int) -> Flaw:
    def plant(run: Evidence) -> None:
        setattr(run, name, [row for n, row in enumerate(getattr(run, name)) if n != at])

    return plant


def doubled(name: str, at: int) -> Flaw:
    def plant(run: Evidence) -> None:
        setattr(run, name, [*getattr(run, name), getattr(run, name)[at]])

    return plant


def records(topic: str, *order: int | Seen) -> Flaw:
    """The records of a topic in another order, some of them again or not at all, or others."""

    def plant(run: Evidence) -> None:
        there = run.topics[topic]
        told = [replace(there[at] if isinstance(at, int) else at, offset=n) for n, at in enumerate(order)]
        run.topics = {**run.topics, topic: told}

    return plant


def record(topic: str, at: int, **told: Any) -> Flaw:
    def plant(run: Evidence) -> None:
        there = list(run.topics[topic])
        there[at] = replace(there[at], **told)
        run.topics = {**run.topics, topic: there}

    return plant


def told(op: str, status: Any) -> Flaw:
    def plant(run: Evidence) -> None:
        run.ledger = [{**e, "status": status} if (e["what"], e.get("op")) == ("told", op) else e for e in run.ledger]

    return plant


def entry(**told: Any) -> Flaw:
    def plant(run: Evidence) -> None:
        run.ledger = [*run.ledger, told]

    return plant


def never_told(run: Evidence) -> None:
    run.ledger = [e for e in run.ledger if (e["what"], e.get("op")) != ("told", "op-place")]


def parked_by_chance(run: Evidence) -> None:
    run.parked = [*run.parked, Parked("order_service.copies", "out_of_patience", CONFIGURATIONS, "c1", "{}")]


def sent_to_ben(run: Evidence) -> None:
    run.arrivals = changed(run.arrivals, 2, hook="q")


def sent_long_after(run: Evidence) -> None:
    late = {**run.arrivals[0], "id": "msg_dstopped", "events": [["stopped", "kind", ACCOUNT, "subscription-ordered"]]}
    run.arrivals = [*run.arrivals, late]


PLACE = {"what": "asked", "op": "op-2", "act": "move", "command": "FillOrder", "order": "order-1", "account": ACCOUNT}
#: check -> the flaws that it must see
FLAWS: dict[str, list[Flaw]] = {
    "answered": [never_told, told("op-place", 404)],
    "announced": [records(ORDERS, 0), record(ORDERS, 1, type="OrderFilled"), rows("orders", 0, filled_at="t3")],
    "states_announced": [records(CONFIGURATIONS, 0), records("accounts.events.v1")],
    "in_order": [records(CONFIGURATIONS, 2, 0), records(ORDERS, 1, 0)],
    "one_place": [record(CONFIGURATIONS, 1, partition=5)],
    "repeated_in_runs": [
        records(CONFIGURATIONS, 0, 2, 1),
        record(CONFIGURATIONS, 1, body={"revision": 1, "version": 7}),
        records(ORDERS, 0, 1, 0),
    ],
    "placed_once": [
        without("orders", 0),
        doubled("orders", 0),
        told("op-refused", 201),
        rows("orders", 0, client_reference="x"),
    ],
    "opened_once": [doubled("accounts", 0)],
    "configured_once": [rows("configurations", 0, version=2), rows("configurations", 0, configured=True)],
    "moved_once": [rows("orders", 0, filled_at="t2")],
    "rebalanced_once": [without("orders", 1), doubled("orders", 1)],
    "replied_once": [
        records("commands.replies.v1", 0, Seen("", 3, 1, ACCOUNT, "other", body={"command_id": "op-configure"}))
    ],
    "planned_once": [doubled("deliveries", 1)],
    "copies_agree": [rows("gates", 0, version=2), without("account_copies", 0)],
    "none_new": [rows("orders", 0, status="NEW", cancellation_reason=None)],
    "none_other": [rows("orders", 0, configuration_version=2), rows("orders", 0, processing_at="t1")],
    "no_late_attempt": [rows("attempts", 2, projection_position=3), rows("deliveries", 4, projection_position=3)],
    "claimed_by_position": [rows("attempts", 2, projection_position=None)],
    "stopped_by_the_barrier": [rows("deliveries", 6, state="DELIVERED"), sent_long_after],
    "planned": [without("deliveries", 1), rows("deliveries", 0, more_event_ids=[])],
    "arrived": [without("arrivals", 5), rows("arrivals", 1, answer=429), rows("deliveries", 1, state="FAILED")],
    "unchanged": [rows("arrivals", 1, digest="other")],
    "arrived_in_order": [rows("arrivals", 5, at=0.5)],
    "planned_in_order": [rows("deliveries", 2, place=0)],
    "parked_exactly": [without("parked", 0), without("parked", 1), parked_by_chance],
    "nothing_quarantined": [rows("gates", 0, quarantined="unreadable")],
    "sent_to_its_owner": [sent_to_ben, rows("arrivals", 2, hook="nobody")],
    "kept_by_its_owner": [rows("orders", 0, client_id=BEN), rows("deliveries", 0, client_id=BEN)],
    "announced_for_its_owner": [record(ORDERS, 0, client=BEN)],
    "nothing_left": [lambda run: setattr(run, "left", {"deliveries open": 1})],
    "memory": [lambda run: setattr(run, "memory", {"order_service": 4000.0})],
    "no_defect_told": [entry(what="answered", op="op-place", service="x", path="/", status=500, body="")],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_check_sees_the_flaw_that_it_is_for(check: Check) -> None:
    for flaw in FLAWS[check.__name__]:
        run = a_run()
        flaw(run)
        found = list(check(run))
        assert found, f"flaw {FLAWS[check.__name__].index(flaw)} was not seen"
        assert all(violation.promise[0] == "P" and violation.sentence for violation in found)


def test_a_promise_is_named_by_every_check_and_each_has_one() -> None:
    named = set()
    for check in CHECKS:
        run = a_run()
        FLAWS[check.__name__][0](run)
        named |= {violation.promise for violation in check(run)}
    assert named == {f"P{number}" for number in range(1, 10)}
