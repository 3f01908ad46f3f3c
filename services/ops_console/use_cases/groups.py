"""How the consumer groups do."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from services.ops_console.clients import First, Groups
from services.ops_console.domain import GroupSeen, Look, by_group, group_of, standing_of
from shared.kit.kafka import Kafka

#: how often a window is looked into
_LOOKS = 5
#: how long Kafka may take to answer what is asked in a window, in seconds
_ANSWERED_WITHIN = 20.0

Where = tuple[str, str, int]


async def groups_seen(kafka: Kafka, window: float, wanted: Collection[str] = ()) -> list[GroupSeen]:
    """Look at the groups (those that are `wanted`, if any are) for `window` seconds; less where nothing waits.

    Raises KafkaError, and TimeoutError where Kafka does not come to an answer.
    """
    # A client was seen to wait for good, once, while a group was divided anew: another one asks again.
    with suppress(TimeoutError):
        return await _seen_within(window + _ANSWERED_WITHIN, kafka, window, wanted)
    return await _seen_within(window + _ANSWERED_WITHIN, kafka, window, wanted)


async def _seen_within(seconds: float, kafka: Kafka, window: float, wanted: Collection[str]) -> list[GroupSeen]:
    async with asyncio.timeout(seconds), Groups.of(kafka) as groups:
        names = [name for name in await groups.names() if not wanted or name in wanted]
        windows, members = await _looked_into(groups, names, window)
        last = {where: looks[-1] for where, looks in windows.items()}
        firsts = await groups.firsts(last)
    return groups_of(names, members, windows, firsts)


def groups_of(
    names: Sequence[str],
    members: Mapping[str, int],
    windows: Mapping[Where, Sequence[Look]],
    firsts: Mapping[Where, First],
) -> list[GroupSeen]:
    """The groups as their windows show them; `firsts` are the first records that wait."""
    found = by_group(
        standing_of(
            where,
            looks,
            firsts[where].seconds if where in firsts else None,
            only_markers=where in firsts and firsts[where].seconds is None,
        )
        for where, looks in windows.items()
    )
    of_group: dict[str, list[Sequence[Look]]] = {}
    for (name, _, _), looks in windows.items():
        of_group.setdefault(name, []).append(looks)
    return [group_of(name, members[name], found.get(name, []), of_group.get(name, [])) for name in names]


async def _looked_into(
    groups: Groups, names: list[str], window: float
) -> tuple[dict[Where, list[Look]], dict[str, int]]:
    windows: dict[Where, list[Look]] = {}
    members = dict.fromkeys(names, 0)
    for number in range(_LOOKS):
        if number:
            await asyncio.sleep(window / (_LOOKS - 1))
        now, looks = await groups.look(names)
        for where, look in looks.items():
            windows.setdefault(where, []).append(look)
        members = {name: max(count, now[name]) for name, count in members.items()}
        if not window or await _all_is_done(groups, looks, members):
            break
    return windows, members


async def _all_is_done(groups: Groups, looks: Mapping[Where, Look], members: Mapping[str, int]) -> bool:
    if not all(members.values()):
        return False
    return all(first.seconds is None for first in (await groups.firsts(looks)).values())
