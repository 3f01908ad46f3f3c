"""The fate of a message is one pure decision."""

import pytest
from aiokafka.errors import KafkaConnectionError
from sqlalchemy.exc import IntegrityError, OperationalError

from shared.kit.barrier import BarrierNotPassedError
from shared.kit.fate import Fate, delay_after, fate_of
from shared.kit.refusals import Conflict

AWAY = [
    OperationalError("SELECT 1", {}, Exception("gone")),
    KafkaConnectionError("gone"),
    ConnectionRefusedError(),
    BarrierNotPassedError("copies"),
]


@pytest.mark.parametrize("fault", AWAY, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("may_park", [True, False])
def test_what_is_away_is_waited_for_however_long(fault: Exception, may_park: bool) -> None:  # noqa: FBT001
    assert fate_of(fault, attempts=1000, patience=3, may_park=may_park) is Fate.WAIT


def test_a_refusal_is_final_at_once() -> None:
    assert fate_of(Conflict(), attempts=1, patience=3, may_park=True) is Fate.PARK


@pytest.mark.parametrize("fault", [ValueError(), IntegrityError("INSERT", {}, Exception())])
def test_anything_else_is_tried_again_until_patience_runs_out(fault: Exception) -> None:
    fates = [fate_of(fault, attempts=n, patience=3, may_park=True) for n in (1, 2, 3)]
    assert fates == [Fate.RETRY, Fate.RETRY, Fate.PARK]


def test_a_keeper_of_copies_never_parks_from_impatience() -> None:
    fates = {fate_of(ValueError(), attempts=n, patience=3, may_park=False) for n in range(1, 50)}
    assert Fate.PARK not in fates


def test_delays_grow_and_are_capped_far_below_the_poll_interval() -> None:
    delays = [delay_after(attempts) for attempts in range(1, 40)]
    assert delays == sorted(delays)
    assert delays[0] < 1
    assert delays[-1] == 5.0
