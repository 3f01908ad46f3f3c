"""The nemesis: chooses moments, kinds and victims by the seed; what was killed is started again, as operators do."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from deploy.local.errors import ProcessFailedError
from deploy.local.faults import disks
from deploy.local.faults.ledger import Ledger
from deploy.local.faults.plan import KINDS
from deploy.local.faults.stage import Stage
from deploy.local.faults.watch import Watch
from deploy.local.faults.wires import Mode
from deploy.local.processes import LeashedProcess, Node
from deploy.local.services import ServiceProcess
from shared.kit.boundaries import Boundary

_LOOK = 0.3
#: how long a process may take to come to the boundary at which it is to die
_BOUNDARY_SECONDS = 25.0
#: how many wounds may be open at a time: on a machine that is slow to start a process, more would leave nothing alive
_AT_ONCE = 3
#: how long a process that was started again counts as wounded while it is not ready, where that is waited for at all
_READY_SECONDS = 30.0
_IMPATIENT = 0.25
#: what is left of it once all faults have come
_HEAL_SECONDS = 90.0
#: how long a fault waits until there is enough for it to hit
_FILLS_WITHIN = 120.0
#: and until as many deliveries are open as the plan asks for, which takes minutes
_GATHER_WITHIN = 600.0
#: seconds that a clock is off at most: a subscriber refuses what was signed more than five minutes ago or ahead
_FARTHEST_OFF = 240.0
#: how long a broker whose disk was full may take to find out
_ENDS_WITHIN = 10.0
#: webhook_dispatcher's own, besides the kit's
_DELIVERY_BOUNDARIES = ("delivery.claimed", "delivery.sent", "delivery.recorded")
_KILL_AT = "PORTFOLIO_BUS_KILL_AT"

Strike = Callable[[], Awaitable[None]]


@dataclass
class Nemesis:
    """Breaks things, each kind in its own way, several at a time."""

    stage: Stage
    ledger: Ledger
    watch: Watch
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    #: set where no more faults are to come
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    async def rage(self, stop: asyncio.Event) -> None:
        """Let all faults of the plan come, until they have or `stop` is set; then everything runs again."""
        self._over = stop
        plan, kinds = self.stage.plan, self._possible()
        wounds = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as strikes:
            for _ in range(plan.kills):
                await wounds.acquire()
                await self._enough_in_flight()
                if stop.is_set():
                    break
                [kind] = self.chance.choices(kinds, [KINDS[each][0] for each in kinds])
                strikes.create_task(self._strike(kind)).add_done_callback(lambda _: wounds.release())
                pause = min(self.chance.expovariate(1 / plan.pause), plan.pause * 3)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
        await self._healed()

    async def operate(self) -> None:
        """Start again what has ended by itself, until cancelled."""
        while True:
            for name, process in self.stage.services.items():
                lock = self._lock(name)
                if not lock.locked() and not await asyncio.to_thread(process.alive):
                    async with lock:
                        await asyncio.to_thread(process.start_again)
            await asyncio.sleep(_LOOK)

    def _possible(self) -> list[str]:
        """The kinds of the plan for which there is something to break: what others have started is left alone."""
        nodes = self.stage.stack.nodes
        away = {kind for kind in ("postgres", "kafka") if not any(name.startswith(kind) for name in nodes)}
        away |= set() if self.stage.wires else {"network"}
        away |= set() if self.stage.clocks else {"clock"}
        away |= set() if disks.POSSIBLE and self._brokers_here() else {"disk"}
        return [kind for kind in self.stage.plan.only if kind not in away]

    async def _enough_in_flight(self) -> None:
        deadline = time.monotonic() + (_GATHER_WITHIN if self.stage.plan.deliveries else _FILLS_WITHIN)
        while not self._enough() and time.monotonic() < deadline:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), _LOOK)
                return

    def _enough(self) -> bool:
        plan, watch = self.stage.plan, self.watch
        return watch.in_flight() >= plan.least_in_flight and watch.deliveries >= plan.deliveries

    async def _strike(self, kind: str) -> None:
        strikes: dict[str, Strike] = {
            "kill": self._kill,
            "boundary": self._boundary,
            "stop": self._stop,
            "receiver": self._receiver,
            "postgres": self._postgres,
            "kafka": self._kafka,
            "disk": self._disk,
            "clock": self._clock,
            "network": self._network,
        }
        await strikes[kind]()

    def _struck(self, kind: str, victim: str, **told: object) -> None:
        self.done[kind] += 1
        under_way = {"in_flight": self.watch.in_flight(), "deliveries": self.watch.deliveries}
        self.ledger.write("fault", kind=kind, victim=victim, **under_way, **told)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _victim(self) -> tuple[str, ServiceProcess]:
        """A service's process that nobody else breaks at the moment, if there is one."""
        victims = self.stage.victims
        free = [name for name in victims if not self._lock(name).locked()]
        name = self.chance.choice(free or victims)
        return name, self.stage.services[name]

    async def _kill(self) -> None:
        name, process = self._victim()
        async with self._lock(name):
            # Meanwhile another fault may have had its time, in which much was delivered.
            await self._enough_in_flight()
            self._struck("kill", name)
            await asyncio.to_thread(process.kill)
            await asyncio.sleep(self.chance.uniform(0, 3))
            await self._again(process)

    async def _again(self, process: ServiceProcess) -> None:
        """Start it again; mostly it is left alone until it serves, and sometimes it is struck while it starts."""
        await asyncio.to_thread(process.start_again)
        if self.chance.random() > _IMPATIENT:
            with suppress(TimeoutError):
                async with asyncio.timeout(_READY_SECONDS):
                    await _ready(process)

    async def _boundary(self) -> None:
        """Have a process die between two of its own steps: started again so that it kills itself there."""
        name, process = self._victim()
        async with self._lock(name):
            plain = process.command
            where = self._boundary_of(name)
            process.command = replace(plain, env={**(plain.env or {}), _KILL_AT: where})
            await asyncio.to_thread(process.kill)
            await asyncio.to_thread(process.start_again)
            process.command = plain
            died = await _ended(process, _BOUNDARY_SECONDS)
            self._struck("boundary", name, where=where, died=died)
            if not died:
                await asyncio.to_thread(process.kill)
            await self._again(process)

    def _boundary_of(self, name: str) -> str:
        own = _DELIVERY_BOUNDARIES if name.startswith("webhook_dispatcher") else ()
        times = self.chance.choice([1, 2, 3, 5, 10, 20])
        return f"{self.chance.choice(self.stage.plan.at or [*map(str, Boundary), *own])}:{times}"

    async def _stop(self) -> None:
        name, process = self._victim()
        async with self._lock(name):
            seconds = self.chance.uniform(1, self.stage.plan.longest_stop)
            self._struck("stop", name, seconds=round(seconds, 1))
            await asyncio.to_thread(process.send_signal, signal.SIGSTOP)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(process.send_signal, signal.SIGCONT)

    async def _receiver(self) -> None:
        async with self._lock("receiver"):
            self._struck("receiver", "receiver")
            await asyncio.to_thread(self.stage.receiver.kill)
            await asyncio.sleep(self.chance.uniform(0, 3))
            await asyncio.to_thread(self.stage.receiver.start_again)

    async def _postgres(self) -> None:
        await self._kill_node("postgres", "postgres")

    async def _kafka(self) -> None:
        brokers = sorted(name for name in self.stage.stack.nodes if name.startswith("kafka"))
        # One at a time, or a cluster of three would be without a majority.
        await self._kill_node("kafka", self.chance.choice(brokers))

    async def _kill_node(self, kind: str, name: str) -> None:
        node = self.stage.stack.nodes[name]
        async with self._lock(kind):
            self._struck(kind, name)
            await asyncio.to_thread(node.kill)
            await asyncio.sleep(self.chance.uniform(0, 2))
            await _back(node)

    def _brokers_here(self) -> list[str]:
        """Brokers that are processes of this machine."""
        nodes = self.stage.stack.nodes.items()
        return sorted(name for name, node in nodes if name.startswith("kafka") and isinstance(node, LeashedProcess))

    async def _disk(self) -> None:
        name = self.chance.choice(self._brokers_here())
        node = self.stage.stack.nodes[name]
        async with self._lock("kafka"):
            seconds = self.chance.uniform(0.5, 5)
            self._struck("disk", name, seconds=round(seconds, 1))
            await asyncio.to_thread(disks.fill, node)
            await asyncio.sleep(seconds)
            await asyncio.to_thread(disks.empty, node)
            # It ends over it, but may take a minute, in which it serves nobody: an operator would not wait for that.
            if not await _ended(node, _ENDS_WITHIN):
                await asyncio.to_thread(node.kill)
            await _back(node)

    async def _clock(self) -> None:
        clocks = self.stage.clocks
        if clocks is None:
            return
        name = self.chance.choice([name for name in clocks.owners if name in self.stage.victims])
        async with self._lock(f"{name} clock"):
            off = self.chance.choice([-1, 1]) * self.chance.uniform(1, _FARTHEST_OFF)
            seconds = self.chance.uniform(1, self.stage.plan.longest_stop)
            self._struck("clock", name, off=round(off, 1), seconds=round(seconds, 1))
            clocks.step(name, off)
            await asyncio.sleep(seconds)
            clocks.step(name, 0.0)

    async def _network(self) -> None:
        wires = self.stage.wires
        if wires is None:
            return
        ends = {(way.owner, way.end) for way in wires.ways if way.owner in self.stage.victims}
        name, end = self.chance.choice(sorted(ends))
        mode = self.chance.choice(list(Mode))
        async with self._lock(f"{name} {end}"):
            seconds = self.chance.uniform(1, self.stage.plan.longest_stop)
            self._struck("network", name, end=end, mode=mode.value, seconds=round(seconds, 1))
            wires.suffer(name, end, mode)
            await asyncio.sleep(seconds)
            wires.suffer(name, end, None)

    async def _healed(self) -> None:
        """Return once everything is ready, or ought to be: what is not shows in what is left."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEAL_SECONDS):
                for process in self.stage.services.values():
                    await _ready(process)


async def _ended(process: Node, seconds: float) -> bool:
    """Wait until it has ended by itself; answers whether it has."""
    for _ in range(int(seconds / _LOOK)):
        if not await asyncio.to_thread(process.alive):
            return True
        await asyncio.sleep(_LOOK)
    return False


async def _back(node: Node) -> None:
    """Start it until it serves: what is left of a killed one may be in its way for a moment."""
    while True:
        try:
            return await asyncio.to_thread(_started_again, node)
        except ProcessFailedError:
            await asyncio.sleep(_LOOK)


def _started_again(node: Node) -> None:
    if not isinstance(node, LeashedProcess):
        node.restart()
        return
    # One that is only slow to start is not to be killed for it.
    if not node.alive():
        node.start_again()
    node.wait_ready()


async def _ready(process: ServiceProcess) -> None:
    while True:
        if await asyncio.to_thread(process.is_ready):
            return
        await asyncio.sleep(_LOOK)
