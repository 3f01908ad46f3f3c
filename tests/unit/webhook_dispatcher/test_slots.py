"""How much a process takes on."""

from uuid import UUID, uuid4

from services.webhook_dispatcher.domain import Claimed
from services.webhook_dispatcher.workers import Limits
from services.webhook_dispatcher.workers.agenda import Agenda
from services.webhook_dispatcher.workers.slots import Slots

CLIENT = uuid4()


def a_claim(subscription_id: UUID, *, quick: bool = True, more: bool = False) -> Claimed:
    return Claimed(
        id=uuid4(),
        subscription_id=subscription_id,
        client_id=CLIENT,
        account_id=None,
        webhook_type="PORTFOLIO_ORDER.NEW",
        attempt=1,
        lease_token=uuid4(),
        url="http://127.0.0.1/",
        sealed_secret=b"",
        body=b"",
        quick=quick,
        more=more,
    )


def test_slots_tell_what_is_free_and_who_is_busy() -> None:
    slots, one, other = Slots(Limits(in_flight=5, in_flight_slow=3, per_endpoint=2)), uuid4(), uuid4()
    slots.take(a_claim(one))
    slots.take(a_claim(one))
    slow = a_claim(other, quick=False)
    slots.take(slow)

    capacity = slots.capacity
    assert (slots.taken, capacity.free, capacity.free_for_slow) == (3, 3, 2)
    assert (capacity.busy, capacity.busy_clients) == ({one: 2, other: 1}, {CLIENT: 3})
    slots.free(slow)
    assert (slots.capacity.free_for_slow, slots.capacity.busy) == (3, {one: 2})


def test_an_endpoint_that_took_all_its_room_has_none_until_something_ends() -> None:
    slots, one = Slots(Limits()), uuid4()
    first, second = a_claim(one), a_claim(one, more=True)
    slots.take(first)
    assert slots.has_room(one)
    slots.take(second)
    assert not slots.has_room(one)
    slots.free(first)
    assert slots.has_room(one)


def test_what_a_quick_endpoint_does_not_answer_gives_its_slot_to_others() -> None:
    now = 0.0
    slots, one = Slots(Limits(in_flight=4, in_flight_slow=3), clock=lambda: now), uuid4()
    claims = [a_claim(one) for _ in range(4)]
    for each in claims:
        slots.take(each)
    slots.move_over()
    assert slots.capacity.free == 0

    now = 1.5
    slots.move_over()
    capacity = slots.capacity
    assert (capacity.free, capacity.free_for_slow) == (3, 0), "as many as there is room for elsewhere"
    assert capacity.strained == [one]
    for each in claims:
        slots.free(each)
    capacity = slots.capacity
    assert (slots.taken, capacity.free, capacity.free_for_slow, list(capacity.strained)) == (0, 4, 3, [])


def test_one_slow_answer_among_many_says_nothing_about_an_endpoint() -> None:
    now = 0.0
    slots, one = Slots(Limits(), clock=lambda: now), uuid4()
    slots.take(a_claim(one))
    now = 1.5
    slots.move_over()

    assert list(slots.capacity.strained) == []


def test_an_agenda_names_everyone_once_in_the_order_of_coming() -> None:
    agenda, [one, two, three] = Agenda(), [uuid4() for _ in range(3)]
    agenda.add([one, two])
    agenda.add([one, three])

    assert agenda.take(2, lambda each: each != one) == [two, three]
    assert len(agenda) == 0
