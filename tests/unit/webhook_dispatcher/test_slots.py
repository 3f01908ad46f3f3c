"""How much a process takes on."""

from uuid import uuid4

from services.webhook_dispatcher.workers import Limits
from services.webhook_dispatcher.workers.slots import Slots


def test_slots_tell_what_is_free_and_who_is_busy() -> None:
    slots, one, other = Slots(Limits(in_flight=5, per_endpoint=2)), uuid4(), uuid4()
    for subscription in (one, one, other):
        slots.take(subscription)
    slots.free(other)

    assert (slots.taken, slots.capacity.free, slots.capacity.busy) == (2, 3, {one: 2})
