"""One verdict: what is wrong, where, since when, and what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from services.ops_console.domain import (
    GroupSeen,
    OutboxSeen,
    ParkedIndex,
    ParkedSeen,
    Standing,
    State,
    SubscriptionSeen,
    Trend,
    of_groups,
    of_outboxes,
    of_parked,
    of_subscriptions,
    of_troubles,
    worst_first,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def a_group(state: State, *, name: str = "orders.copies", seconds: float = 30.0) -> GroupSeen:
    waits = Standing(name, "a.topic", 0, records=7, seconds=seconds, state=state)
    return GroupSeen(name, 1, state, [waits], Trend.GROWING)


WATCHED = SubscriptionSeen(
    *("1", "a client", "hook", "example.com"),
    enabled=True,
    disabled_reason=None,
    paused_at=None,
    circuit="OPEN",
    failing_since="2026-01-31T11:00:00.000000Z",
    waiting=3,
    waiting_at_least=False,
    overdue_seconds=0.0,
    attempts=5,
    delivered=0,
    p95_seconds=None,
)


def test_a_group_that_does_well_is_no_finding() -> None:
    assert list(of_groups([a_group(State.OK)], NOW)) == []


def test_a_finding_says_since_when_and_which_service_to_start() -> None:
    (found,) = of_groups([a_group(State.STOPPED)], NOW)
    assert (found.where, found.since, found.page) == ("orders.copies", NOW - timedelta(seconds=30), "/groups")
    assert found.what == "nobody is in the group; 7 records wait, ever more"
    assert found.press == "Start orders with the role consumers."


def test_each_state_has_advice_of_its_own() -> None:
    states = [State.WARN, State.STALLED, State.STOPPED]
    assert len({found.press for state in states for found in of_groups([a_group(state)], NOW)}) == 3


def test_an_outbox_is_a_finding_once_its_oldest_message_has_waited() -> None:
    outboxes = [OutboxSeen("a", 9_999, 0.4), OutboxSeen("b", 1, 60.0)]
    (found,) = of_outboxes(outboxes, NOW)
    assert (found.where, found.since) == ("b", NOW - timedelta(seconds=60))


def test_parked_messages_are_one_finding_for_each_group_and_reason() -> None:
    index = ParkedIndex()
    for number in range(3):
        seen = ParkedSeen(f"g/t/0/{number}", "g", "not_json", "", "t", 0, number, 1, NOW, float(number))
        index.take(seen)
        index.take(replace(seen, id=f"{seen.id}x", reason="unknown_type"))
    assert sorted(found.what for found in of_parked(index)) == ["3 parked for not_json", "3 parked for unknown_type"]


def test_an_open_circuit_is_a_finding_unless_the_subscription_is_switched_off() -> None:
    (found,) = of_subscriptions([WATCHED, replace(WATCHED, enabled=False), replace(WATCHED, circuit="CLOSED")])
    assert (found.what, found.since) == (
        "example.com does not answer; 3 deliveries wait",
        datetime(2026, 1, 31, 11, tzinfo=UTC),
    )


def test_troubles_of_one_cause_are_one_finding() -> None:
    assert len(list(of_troubles({"groups": "Kafka is away.", "topics": "Kafka is away.", "a": "a is away."}))) == 2


def test_the_worst_stands_first_and_of_the_same_weight_what_has_lasted_longest() -> None:
    groups = [a_group(State.STALLED), a_group(State.STOPPED), a_group(State.STALLED, name="old.copies", seconds=900)]
    found = worst_first([*of_groups(groups, NOW), *of_troubles({"orders": "orders does not answer."})])
    assert [each.where for each in found] == ["orders", "orders.copies", "old.copies", "orders.copies"]
