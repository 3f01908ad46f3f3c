"""The keeper of copies: applies by revision only, whatever the type, and with each deletion closes the gate."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhook_dispatcher.storage import KEEPER
from shared.kit.consuming import NotNowError
from shared.kit.unit_of_work import UnitOfWork
from tests.unit.webhook_dispatcher.messages import account_created, configured, deleted, order_placed, rebalancing

from .world import World

NOWHERE = "http://127.0.0.1:9/hook"


async def copy_of(world: World, account_id: UUID) -> Any:
    found = await world.rows("SELECT * FROM configurations WHERE account_id = :a", a=account_id)
    return found[0] if found else None


async def test_a_configuration_is_copied_with_where_it_stands(world: World) -> None:
    told = world.told(configured(uuid4(), 2))
    await world.applied(told)

    copy = await copy_of(world, UUID(told.message.key))
    assert (copy.client_id, copy.version, copy.revision, copy.configured) == (world.client_id, 2, 3, True)
    assert copy.deletion_position == told.offset, "version 2 proves that version 1 was deleted"


async def test_a_deletion_suppresses_what_waits_and_tells_where_it_stood(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    await world.happened(order_placed(account_id))
    told = world.told(deleted(account_id))
    await world.applied(told)

    assert await world.states() == [("SUPPRESSED", "CONFIGURATION_DELETED"), ("WAITING", None)]
    assert (await copy_of(world, account_id)).deletion_position == told.offset


async def test_a_deletion_told_twice_has_the_effect_of_one(world: World) -> None:
    account_id = await world.an_account()
    told = world.told(deleted(account_id))
    await world.applied(told, told.again())
    await world.applied(told.again())

    copy = await copy_of(world, account_id)
    assert (copy.version, copy.revision, copy.deletion_position) == (1, 2, told.offset)


async def test_a_batch_that_tells_more_than_once_of_an_account_ends_with_the_newest(world: World) -> None:
    account_id = uuid4()
    await world.applied(deleted(account_id, 2), configured(account_id, 1), configured(account_id, 3))

    copy = await copy_of(world, account_id)
    assert (copy.version, copy.configured) == (3, True)


async def test_a_type_that_is_not_known_yet_is_applied_by_its_whole_state(world: World) -> None:
    account_id = await world.an_account()
    told = world.told(configured(account_id, 1, revision=5)).again(type="ConfigurationRevised")
    await world.applied_as_is(told)

    assert (await copy_of(world, account_id)).revision == 5


async def test_states_of_other_accounts_change_nothing_here(world: World) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    await world.applied(deleted(await world.an_account()))

    assert await world.states() == [("WAITING", None)]
    assert (await copy_of(world, account_id)).configured


async def test_a_copy_that_fails_midway_leaves_nothing_behind_and_is_never_parked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.subscribed(NOWHERE)
    account_id = await world.an_account()
    await world.rebalanced(rebalancing(account_id))
    told = world.told(deleted(account_id))
    with monkeypatch.context() as broken:
        broken.setattr(UnitOfWork, "flush", _fails)
        broken.setattr(world.copies.subscriber, "patience", 1)
        with pytest.raises(NotNowError):
            await world.applied(told)

    assert await world.states() == [("WAITING", None)]
    assert (await copy_of(world, account_id)).configured
    assert await position(world) <= told.offset, "no barrier may believe that it was applied"


async def _fails(_: UnitOfWork) -> set[int]:
    raise ArithmeticError


async def position(world: World) -> int:
    (found,) = await world.rows(
        "SELECT max(position) AS position FROM applied_positions WHERE consumer = :k AND topic LIKE 'configurations%'",
        k=KEEPER,
    )
    return int(found.position)


async def test_an_accounts_owner_is_copied_by_revision(world: World) -> None:
    account_id = uuid4()
    await world.applied(account_created(account_id, revision=2))
    await world.applied(world.told(account_created(account_id), client_id=uuid4()))

    (copy,) = await world.rows("SELECT * FROM accounts WHERE account_id = :a", a=account_id)
    assert (copy.client_id, copy.revision) == (world.client_id, 2)
