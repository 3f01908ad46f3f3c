"""What a run is told as: a summary for programs, and a row of docs/proof.md."""

from dataclasses import replace

from deploy.local.faults.checks import violations_of
from deploy.local.faults.plan import Plan
from deploy.local.faults.telling import row_of, summary_of

from .runs import a_run

PLAN = Plan(7, 2, brokers=3)


def struck(kind: str, victim: str, in_flight: int, deliveries: int) -> dict[str, object]:
    at_that_moment = {"in_flight": in_flight, "deliveries": deliveries}
    return {"at": 0.0, "what": "fault", "kind": kind, "victim": victim, **at_that_moment}


def test_a_summary_says_whom_the_faults_struck_and_how_much_was_under_way() -> None:
    faults = [
        struck("kill", "webhook_dispatcher-2", 1_400, 1_100),
        struck("kill", "webhook_dispatcher", 2_345, 1_200),
        struck("stop", "order_service", 1_300, 900),
    ]
    run = replace(a_run(), ledger=[*a_run().ledger, *faults])

    told = summary_of(PLAN, run, [], commit="abc1234", seconds=61.4)

    assert told["faults"] == {"kill": 2, "stop": 1}
    assert told["victims"] == {"webhook_dispatcher": 2, "order_service": 1}
    assert told["in_flight_at_fault"] == {"least": 1_300, "most": 2_345}
    assert told["deliveries_at_fault"] == {"least": 900, "most": 1_200}
    assert row_of(told) == (
        "| abc1234, three brokers | 7 | 3: 2 kill, 1 stop | 1,300 to 2,345 | 1, 2, "
        f"{told['items']['records']}, {told['items']['deliveries']} | clean, in 61 s |"
    )


def test_a_run_without_faults_is_told_as_well() -> None:
    told = summary_of(Plan(7, 0), a_run(), [], commit="abc1234", seconds=1.0)

    assert told["in_flight_at_fault"] == told["deliveries_at_fault"] == {"least": 0, "most": 0}


def test_what_was_found_stands_in_the_row() -> None:
    run = replace(a_run(), left={"deliveries open": 3})

    told = summary_of(PLAN, run, violations_of(run), commit="abc1234", seconds=61.4)

    assert row_of(told).endswith("| not clean: 1 of P9, in 61 s |")
