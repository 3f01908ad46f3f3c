"""The ledger only grows, and can be read after whoever wrote it has died."""

from pathlib import Path

from deploy.local.faults.ledger import Ledger, entries_of
from deploy.local.faults.plan import KINDS, Plan


def test_what_is_asked_stands_there_until_it_is_told(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    with Ledger(file) as ledger:
        ledger.write("asked", op="1", act="place")
        ledger.write("asked", op="2", act="place")
        ledger.write("told", op="1", status=201)
        assert list(ledger.unanswered) == ["2"]

    assert [(entry["what"], entry["op"]) for entry in entries_of(file)] == [
        ("asked", "1"),
        ("asked", "2"),
        ("told", "1"),
    ]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "arrivals.jsonl"
    file.write_bytes(b'{"what":"arrival"}\n{"what":"arr')

    assert list(entries_of(file)) == [{"what": "arrival"}]
    assert list(entries_of(tmp_path / "none")) == []


def test_a_plan_says_what_repeats_it() -> None:
    assert Plan(7, 10).command == "make faults KILLS=10 SEED=7"
    assert (
        Plan(7, 300, only=("stop", "kill"), brokers=3).command
        == "make faults KILLS=300 SEED=7 ONLY='stop kill' BROKERS=3"
    )
    assert (
        Plan(7, 100, only=("kill",), victims=("webhook_dispatcher",), deliveries=1000).command
        == "make faults KILLS=100 SEED=7 ONLY='kill' VICTIMS='webhook_dispatcher' DELIVERIES=1000"
    )
    assert set(Plan(1, 1).only) == set(KINDS)


def test_a_plan_strikes_the_services_that_it_names_or_all() -> None:
    services = ["config_service", "order_service", "webhook_dispatcher"]

    assert [name for name in services if Plan(1, 1).strikes(name)] == services
    assert [name for name in services if Plan(1, 1, victims=services[2:]).strikes(name)] == services[2:]
