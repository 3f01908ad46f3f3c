"""How soon the relay looks again for what other processes have written."""

from shared.kit.attention import Attention

_SOON, _SELDOM, _ALONE = 0.005, 0.25, 1.0


def looks(attention: Attention, count: int, *, found: set[int], from_: float = 0.0) -> float:
    """Let it look so often, with the same outcome; answers when."""
    now = from_
    for _ in range(count):
        now += attention.pause
        attention.found(found, now)
    return now


def test_while_nobody_writes_it_looks_more_and_more_seldom() -> None:
    attention = Attention()
    looks(attention, 100, found=set())

    assert attention.pause == _SELDOM


def test_where_there_seem_to_be_no_others_it_looks_still_more_seldom_and_no_more_once_one_is_known() -> None:
    attention = Attention()
    attention.alone = True
    now = looks(attention, 100, found=set())
    assert attention.pause == _ALONE

    attention.alone = False
    looks(attention, 1, found=set(), from_=now)
    assert attention.pause == _SELDOM


def test_a_process_that_was_seen_to_write_is_remembered_for_a_while() -> None:
    """An API of its own has no relay, and is known by what it writes alone."""
    attention = Attention()
    attention.alone = True
    now = looks(attention, 100, found=set())
    now = looks(attention, 1, found={2}, from_=now)
    now = looks(attention, 60, found=set(), from_=now)
    assert attention.pause == _SELDOM

    looks(attention, 100, found=set(), from_=now)
    assert attention.pause == _ALONE


def test_another_process_that_writes_makes_it_look_again_soon() -> None:
    attention = Attention()
    now = looks(attention, 100, found=set())
    looks(attention, 1, found={2}, from_=now)

    assert attention.pause == _SOON


def test_what_this_process_has_just_told_of_is_no_sign_of_others() -> None:
    attention, now = Attention(), 0.0
    for _ in range(100):
        now += attention.pause
        attention.told({1}, now)
        attention.found({1}, now)

    assert attention.pause == _SELDOM


def test_rows_in_another_shard_are_a_sign_of_others_and_so_are_those_that_nobody_told_of_for_a_while() -> None:
    attention = Attention()
    now = looks(attention, 100, found=set())
    attention.told({1}, now)
    attention.found({1, 3}, now)
    assert attention.pause == _SOON

    now = looks(attention, 100, found=set(), from_=now)
    attention.told({1}, now)
    attention.found({1}, now + 1)
    assert attention.pause == _SOON


def test_events_a_few_dozen_milliseconds_apart_keep_it_attentive() -> None:
    attention, now = Attention(), 0.0
    for _ in range(20):
        since = now
        while now < since + 0.03:
            now = looks(attention, 1, found=set(), from_=now)
        attention.found({0}, now)

        assert attention.pause == _SOON
        assert now < since + 0.04
