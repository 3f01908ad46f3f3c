"""What the story is played on: the system, the people at its edges, and how their doings are asked for and shown."""

from dataclasses import dataclass, field
from typing import Any

from deploy.local.demo.evidence import Evidence
from deploy.local.demo.receiver import Receiver
from deploy.local.demo.system import System
from deploy.local.demo.telling import Teller, must
from deploy.local.demo.upstream import Upstream
from shared.contracts import COMMANDS_REPLIES, CONFIGURATIONS_EVENTS

#: a body, read
Json = Any


@dataclass
class Account:
    """An account of the story, with its orders by the status that they are brought to."""

    id: str
    name: str
    orders: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """Everything that a step needs."""

    system: System
    upstream: Upstream
    evidence: Evidence
    receiver: Receiver
    teller: Teller

    async def in_topic(self, account: Account, kind: str, version: int) -> bool:
        """Whether configurations.events.v1 has an event of that type and version of the account."""
        found = await self.evidence.messages(CONFIGURATIONS_EVENTS.name, key=account.id, kind=kind)
        return any(each["version"] == version for each in found)

    async def webhook(self, account: Account, kind: str, count: int) -> None:
        """Wait until the subscriber has that many events of the account and type."""

        async def came() -> bool:
            return len({each["id"] for each in self.receiver.of(account.id, kind)}) >= count

        await self.teller.eventually(f"the subscriber has {count} {kind} of {account.name}, signature verified", came)

    async def command_done(self, what: str, command_id: str) -> None:
        """Wait for the reply to a command; it must have been accepted."""

        async def reply() -> list[dict[str, Any]]:
            replies = await self.evidence.messages(COMMANDS_REPLIES.name)
            return [each for each in replies if each["command_id"] == command_id]

        (answer, *_) = await self.teller.eventually(f"{what} is answered on commands.replies.v1", reply)
        must(f"{what} is accepted, not {answer.get('problem')}", "problem" not in answer)

    async def ok(
        self,
        method: str,
        path: str,
        body: str | dict[str, Any] | None = None,
        *,
        service: str = "config_service",
        status: int = 201,
    ) -> Json:
        """Call an API; the answer's body, which must have come with `status`."""
        answer = await self.upstream.call(service, method, path, body)
        must(f"{method} {path} is answered {answer.status}: {answer.body.decode()[:300]}", answer.status == status)
        return answer.json
