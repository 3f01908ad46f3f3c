"""A creating request that is sent again: one effect and the same answer, whatever happens in between."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
import uvicorn
from sqlalchemy import event, text

from deploy.local.ports import LOOPBACK, free_ports
from shared.kit.auth import Principal
from shared.kit.boundaries import Boundary
from shared.kit.cause import Cause
from shared.kit.housekeeping import Housekeeping
from shared.kit.http import Creation
from shared.kit.idempotency import AskedOnce
from shared.kit.unit_of_work import Database
from tests.conftest import eventually

from .things import TABLE, Gate, things_app

ROOT = Path(__file__).parents[3]


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals of the test run alone."""
        yield


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def slug(self) -> str:
        return str(self.body["type"]).removeprefix("/problems/")

    @property
    def was_replayed(self) -> bool:
        return self.headers.get("idempotency-replayed") == "true"


@dataclass
class Caller:
    """One client of the things."""

    session: aiohttp.ClientSession
    client_id: UUID

    async def post(self, path: str, key: UUID | str | None = None, name: str = "one") -> Answer:
        headers = {"X-Client": str(self.client_id)} | ({"Idempotency-Key": str(key)} if key else {})
        async with self.session.post(path, json={"name": name}, headers=headers) as response:
            told = {header.lower(): value for header, value in response.headers.items()}
            return Answer(response.status, told, await response.json(content_type=None))


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def things(database: Database) -> Database:
    """The kit's tables and that of the things."""
    async with database.unit_of_work() as work:
        await work.connection.execute(text(TABLE))
    return database


@pytest.fixture
async def session(things: Database, gate: Gate) -> AsyncIterator[aiohttp.ClientSession]:
    listener = socket.create_server((LOOPBACK, 0), backlog=200)
    server = _Server(uvicorn.Config(things_app(things, gate), log_config=None, access_log=False, lifespan="off"))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(f"http://{LOOPBACK}:{listener.getsockname()[1]}", connector=connector) as opened:
        yield opened
    gate.open.set()
    server.should_exit = True
    await running
    listener.close()


@pytest.fixture
def caller(session: aiohttp.ClientSession) -> Caller:
    return Caller(session, uuid4())


async def things_of(database: Database, caller: Caller) -> int:
    async with database.reading() as connection:
        query = text("SELECT count(*) FROM things WHERE client_id = :client_id")
        return int((await connection.execute(query, {"client_id": caller.client_id})).scalar_one())


async def keys_of(database: Database, caller: Caller) -> int:
    async with database.reading() as connection:
        query = text("SELECT count(*) FROM idempotency_keys WHERE client_id = :client_id")
        return int((await connection.execute(query, {"client_id": caller.client_id})).scalar_one())


async def _age_by(database: Database, hours: float) -> None:
    async with database.unit_of_work() as work:
        aged = text("UPDATE idempotency_keys SET created_at = created_at - make_interval(secs => :seconds)")
        await work.connection.execute(aged, {"seconds": hours * 3600})


@contextmanager
def statements_of(database: Database) -> Iterator[list[str]]:
    """The statements that are sent while the block runs, begin and commit aside."""
    sent: list[str] = []

    def note(*arguments: Any) -> None:
        sent.append(arguments[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def test_a_request_sent_again_gets_the_same_answer_and_has_one_effect(caller: Caller, things: Database) -> None:
    key = uuid4()
    first = await caller.post("/things", key)
    again = await caller.post("/things", key)

    assert (first.status, first.was_replayed) == (201, False)
    assert (again.status, again.was_replayed) == (201, True)
    assert again.body == first.body | {"secret": None}, "a replay leaves the secret out"
    assert first.body["secret"]
    assert (first.headers["etag"], first.headers["location"]) == ('"1"', f"/things/{first.body['id']}")
    for header in ("etag", "location", "content-type"):
        assert again.headers[header] == first.headers[header]
    assert again.headers["x-request-id"] != first.headers["x-request-id"], "each request has an id of its own"
    assert await things_of(things, caller) == 1


async def test_a_key_is_taken_in_either_case(caller: Caller, things: Database) -> None:
    key = str(uuid4())
    await caller.post("/things", key.lower())
    assert (await caller.post("/things", key.upper())).was_replayed
    assert await things_of(things, caller) == 1


async def test_fifty_equal_requests_at_once_make_one_thing(caller: Caller, things: Database) -> None:
    key = uuid4()
    answers = await asyncio.gather(*(caller.post("/things", key) for _ in range(50)))

    made = [answer for answer in answers if answer.status == 201]
    busy = [answer for answer in answers if answer.status != 201]
    assert await things_of(things, caller) == 1
    assert sum(not answer.was_replayed for answer in made) == 1
    assert len({(answer.body["id"], answer.headers["location"]) for answer in made}) == 1
    assert {(answer.status, answer.slug) for answer in busy} <= {(409, "conflict")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in busy)
    assert (await caller.post("/things", key)).body["id"] == made[0].body["id"]


async def test_no_twin_slips_in_between_the_lock_and_the_answer(caller: Caller, things: Database) -> None:
    keys = [uuid4() for _ in range(40)]
    answers = await asyncio.gather(*(caller.post("/things", key) for key in keys for _ in range(4)))
    assert {answer.status for answer in answers} <= {201, 409}
    assert await things_of(things, caller) == len(keys)


async def test_replays_do_not_stand_in_each_others_way(caller: Caller) -> None:
    key = uuid4()
    await caller.post("/things", key)
    answers = await asyncio.gather(*(caller.post("/things", key) for _ in range(30)))
    assert {(answer.status, answer.was_replayed) for answer in answers} == {(201, True)}


async def test_a_key_in_flight_is_refused_with_the_time_to_try_again(
    caller: Caller, gate: Gate, things: Database
) -> None:
    gate.open.clear()
    key = uuid4()
    first = asyncio.create_task(caller.post("/things", key))
    await eventually(lambda: _holds(gate))

    second = await caller.post("/things", key)
    assert (second.status, second.slug, second.headers["retry-after"]) == (409, "conflict", "1")
    other = asyncio.create_task(caller.post("/things", uuid4()))
    await eventually(lambda: _holds(gate, 2))
    gate.open.set()
    assert ((await first).status, (await other).status) == (201, 201), "another key is not held up"
    assert (await caller.post("/things", key)).was_replayed
    assert await things_of(things, caller) == 2


async def _holds(gate: Gate, how_many: int = 1) -> bool:
    return gate.waiting == how_many


async def test_the_same_key_with_another_body_is_refused(caller: Caller, things: Database) -> None:
    key = uuid4()
    await caller.post("/things", key, name="one")
    refused = await caller.post("/things", key, name="two")
    assert (refused.status, refused.slug) == (422, "unprocessable_entity")
    assert await things_of(things, caller) == 1


async def test_a_missing_key_is_refused_by_its_own_slug(caller: Caller, things: Database) -> None:
    refused = await caller.post("/things")
    assert (refused.status, refused.slug) == (400, "missing_idempotency_key")
    assert await things_of(things, caller) == 0


@pytest.mark.parametrize("wrong", ["1", "{0197f6a4-3c1d-7b52-9d0e-6f1c2a3b4d5e}", "0197f6a43c1d7b529d0e6f1c2a3b4d5e"])
async def test_a_key_that_is_no_uuid_is_refused_by_name(wrong: str, caller: Caller) -> None:
    refused = await caller.post("/things", wrong)
    assert (refused.status, refused.slug) == (400, "invalid_request")
    assert [error["location"] for error in refused.body["errors"]] == ["header.idempotency-key"]


async def test_a_refusal_is_not_kept(caller: Caller, gate: Gate, things: Database) -> None:
    key = uuid4()
    gate.refuses = True
    assert (await caller.post("/things", key)).status == 409
    gate.refuses = False
    answer = await caller.post("/things", key, name="another body, since nothing was done under the key")
    assert (answer.status, answer.was_replayed) == (201, False)
    assert await things_of(things, caller) == 1


async def test_a_route_may_decide_again_after_it_has_rolled_back(caller: Caller, gate: Gate, things: Database) -> None:
    key = uuid4()
    gate.refuses = True
    answer = await caller.post("/decided-twice", key)
    assert (answer.status, answer.was_replayed) == (201, False)
    with statements_of(things) as sent:
        assert (await caller.post("/decided-twice", key)).was_replayed
    assert len(sent) == 1, "what was answered is found before anything is waited for"
    assert await things_of(things, caller) == 1


async def test_a_route_that_forgets_to_keep_its_answer_fails_and_does_nothing(things: Database) -> None:
    client = Principal(uuid4(), frozenset())
    asked = AskedOnce(client.client_id, "POST", "/things", uuid4())
    creation = Creation(client, Cause(client.client_id, "request"), asked, b"")

    async def forget() -> None:
        async with creation.unit_of_work(things) as work:
            insert = text("INSERT INTO things (id, client_id, name) VALUES (:id, :id, 'half')")
            await work.connection.execute(insert, {"id": client.client_id})

    with pytest.raises(LookupError):
        await forget()
    async with things.reading() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM things"))).scalar_one() == 0


async def test_a_key_belongs_to_one_client_and_one_path(caller: Caller, things: Database) -> None:
    key, stranger = uuid4(), Caller(caller.session, uuid4())
    await caller.post("/things", key)
    for other, path in ((stranger, "/things"), (caller, "/others")):
        answer = await other.post(path, key, name="something else")
        assert (answer.status, answer.was_replayed) == (201, False)
    assert (await things_of(things, caller), await things_of(things, stranger)) == (2, 1)


async def test_where_the_key_is_optional_each_request_without_one_makes_a_thing(
    caller: Caller, things: Database
) -> None:
    assert {(await caller.post("/others")).status for _ in range(3)} == {201}
    assert (await things_of(things, caller), await keys_of(things, caller)) == (3, 0)
    key = uuid4()
    assert [(await caller.post("/others", key)).was_replayed for _ in range(2)] == [False, True]
    assert await things_of(things, caller) == 4


async def test_an_answer_is_replayed_for_a_day_and_no_longer(caller: Caller, things: Database) -> None:
    key = uuid4()
    await caller.post("/things", key)
    await _age_by(things, 23.9)
    assert (await caller.post("/things", key)).was_replayed
    await _age_by(things, 0.2)
    answer = await caller.post("/things", key, name="two")
    assert (answer.status, answer.was_replayed) == (201, False)
    assert (await caller.post("/things", key, name="two")).body["id"] == answer.body["id"], "the new answer is kept"
    assert await things_of(things, caller) == 2


async def test_the_housekeeping_forgets_what_is_older_than_a_day(caller: Caller, things: Database) -> None:
    await caller.post("/things", uuid4())
    await _age_by(things, 24.1)
    young = uuid4()
    await caller.post("/things", young)
    await Housekeeping(things).once()
    assert await keys_of(things, caller) == 1
    assert (await caller.post("/things", young)).was_replayed


async def test_a_connection_lost_before_the_answer_leaves_neither_an_effect_nor_a_stuck_key(
    caller: Caller, gate: Gate, things: Database
) -> None:
    gate.open.clear()
    key = uuid4()
    first = asyncio.create_task(caller.post("/things", key))
    await eventually(lambda: _holds(gate))
    async with things.reading() as connection:
        mine = "datname = current_database() AND pid <> pg_backend_pid() AND state = 'idle in transaction'"
        await connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"))
    gate.open.set()
    assert (await first).status == 503
    assert await things_of(things, caller) == 0

    answer = await caller.post("/things", key)
    assert (answer.status, answer.was_replayed) == (201, False)
    assert await things_of(things, caller) == 1


@asynccontextmanager
async def _process(database: Database, kill_at: str = "") -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """The API as a process; answers it and its address."""
    url = database.engine.url.render_as_string(hide_password=False)
    port = free_ports(1)[0]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.integration.kit.things", url, str(port)),
        cwd=ROOT,
        env={**os.environ, "PORTFOLIO_BUS_KILL_AT": kill_at},
    )
    try:
        await eventually(lambda: _listens(port))
        yield process, f"http://{LOOPBACK}:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


_OF_A_REQUEST = [
    Boundary.UNIT_OF_WORK_BEGUN,
    Boundary.EFFECT_WRITTEN,
    Boundary.OUTBOX_WRITTEN,
    Boundary.COMMITTED,
]


@pytest.mark.parametrize("boundary", _OF_A_REQUEST)
async def test_a_process_killed_there_leaves_no_stuck_key_and_no_second_effect(
    boundary: Boundary, things: Database
) -> None:
    key, client_id = uuid4(), uuid4()
    async with _process(things, f"{boundary}:1") as (process, url), aiohttp.ClientSession(url) as session:
        with pytest.raises(aiohttp.ClientError):
            await Caller(session, client_id).post("/things", key)
        assert await process.wait() == -signal.SIGKILL

    async with _process(things) as (_, url), aiohttp.ClientSession(url) as session:
        caller = Caller(session, client_id)
        # The server may take a moment to notice that the killed process has gone.
        answer = await eventually(lambda: _answered(caller, key))
    assert answer.was_replayed == (boundary is Boundary.COMMITTED)
    assert await things_of(things, caller) == 1


async def _answered(caller: Caller, key: UUID) -> Answer | None:
    answer = await caller.post("/things", key)
    return answer if answer.status == 201 else None


async def test_a_key_costs_two_statements_and_a_replay_one(caller: Caller, things: Database) -> None:
    with statements_of(things) as without:
        await caller.post("/others")
    key = uuid4()
    with statements_of(things) as first:
        await caller.post("/others", key)
    with statements_of(things) as again:
        await caller.post("/others", key)
    assert (len(without), len(first), len(again)) == (1, 3, 1)
