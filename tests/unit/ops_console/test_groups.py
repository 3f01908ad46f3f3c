"""How a group does is decided by looking at a window, without a threshold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ops_console.domain import Look, State, standing_of, state_of, worst_of

WHERE = ("order_service.copies", "accounts.events.v1", 3)


def looks(*seen: tuple[int, int], members: int = 1) -> list[Look]:
    return [Look(committed, end, members) for committed, end in seen]


@pytest.mark.parametrize(
    ("window", "state"),
    [
        (looks((5, 5), (5, 5)), State.OK),
        (looks((5, 9), (9, 9), (9, 12)), State.OK),
        (looks((5, 99), (20, 99), (50, 99)), State.OK),
        (looks((5, 9), (7, 12), (9, 13)), State.OK),
        (looks((5, 9), (6, 11), (7, 15)), State.WARN),
        (looks((5, 9), (6, 10), (7, 12)), State.WARN),
        (looks((5, 9), (6, 10), (7, 11)), State.OK),
        (looks((5, 9), (5, 9)), State.STALLED),
        (looks((5, 9), (5, 12), (5, 20)), State.STALLED),
        (looks((9, 20), (5, 20)), State.WARN),
        (looks((5, 9), members=1), State.OK),
        (looks((5, 5), (5, 5), members=0), State.STOPPED),
        (looks((5, 9), (5, 12), members=0), State.STOPPED),
        (looks((5, 9), members=0), State.STOPPED),
    ],
)
def test_the_state_of_a_window(window: list[Look], state: State) -> None:
    assert state_of(window) is state


def test_a_group_that_is_divided_anew_within_the_window_is_not_stopped() -> None:
    assert state_of([Look(5, 9, 0), Look(5, 9, 2)]) is State.STALLED
    assert state_of([Look(5, 5, 0), Look(5, 5, 1)]) is State.OK


def test_no_look_at_all_is_no_window() -> None:
    with pytest.raises(ValueError, match="at least one look"):
        state_of([])


def test_markers_of_transactions_alone_are_nothing_that_waits() -> None:
    only_markers = standing_of(WHERE, looks((5, 6), (5, 6)), None, only_markers=True)
    assert (only_markers.records, only_markers.seconds, only_markers.state) == (0, 0.0, State.OK)
    waiting = standing_of(WHERE, looks((5, 6), (5, 6)), 12.5, only_markers=False)
    assert (waiting.records, waiting.seconds, waiting.state) == (1, 12.5, State.STALLED)
    assert (waiting.group, waiting.topic, waiting.partition) == WHERE


def test_a_group_does_as_its_worst_partition_does() -> None:
    assert worst_of([State.OK, State.STALLED, State.WARN]) is State.STALLED
    assert worst_of([State.STOPPED, State.STALLED]) is State.STOPPED
    assert worst_of([]) is State.OK


WINDOWS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 50)).map(lambda pair: Look(min(pair), max(pair), 1)), min_size=1
)


@given(WINDOWS)
def test_a_group_that_was_seen_to_have_caught_up_is_well(window: list[Look]) -> None:
    assert state_of([*window, Look(60, 60, 1)]) is State.OK


@given(WINDOWS, st.integers(0, 10**12))
def test_the_state_does_not_depend_on_where_the_log_stands(window: list[Look], further: int) -> None:
    moved = [Look(each.committed + further, each.end + further, each.members) for each in window]
    assert state_of(moved) is state_of(window)
