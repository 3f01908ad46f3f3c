import asyncio, json
from dataclasses import replace
from uuid import UUID, uuid4
import pytest
from shared.contracts import *
from shared.contracts import Record
from .bus import *
from .callers import *
from .ledger import *
from .test_portfolio_commands import _at, _place, _answered, _id_of

async def test_nul_in_changes(caller, kafka):
    path = await a_portfolio(caller)
    record = a_record(UpdatePortfolio(**_at(path), changes={"name": "x"}), caller.client_id, id="nul1")
    for n, change in enumerate(['{"a\\u0000b": 1}', '{"metadata": {"a\\u0000b": "x"}}', '{"metadata": {"ab": "x\\u0000"}}', '{"name": "x\\u0000"}',
          '{"metadata": {"%s": {"a": 1}}}' % ("k"*500), '{"%s": 1}' % ("k"*5000), '{"metadata": {"a\\n\\u0001": {"a":1}}}', '{"metadata": {"n": 1e400}}', '{"status": {"code": null}}', '{"status": null}', '{"name": null}',
          '{' + ','.join('"k%d": 1' % i for i in range(300)) + '}', '{"metadata": {"n": 123456789012345678901234567890}}']):
        body = json.loads(record.value) ; body["changes"] = "@@"
        raw = json.dumps(body).replace('"@@"', change).encode()
        rec = replace(record, value=raw, headers=[(k, f"nul{n}".encode() if k == "ce_id" else v) for k, v in record.headers])
        await send(kafka, rec)
        try:
            (reply,) = await replies_to(kafka, [f"nul{n}"], id_in(path))
            print(change[:60], reply.type, getattr(reply.message, "problem", None) and (reply.message.problem.status, reply.message.problem.detail[:100]))
        except BaseException as e:
            print(change[:60], "NO REPLY", repr(e)[:200])

async def test_spelling(caller):
    base = await a_ledger(caller)
    _, v1, o, org, l, led, p = base.split("/")
    key = str(uuid4())
    ids = set()
    for spelled in (base, base.upper().replace("/V1/ORGANIZATIONS", "/v1/organizations").replace("LEDGERS", "ledgers").replace("PORTFOLIOS", "portfolios"), base.replace(org, "%7B" + org + "%7D"), base.replace(org, "urn:uuid:" + org), base.replace(org, org.replace("-", "")), base + "?a=1", base.replace("portfolios", "p%6Frtfolios")):
        from yarl import URL
        async with caller.session.post(URL(str(caller.session._base_url).rstrip("/") + spelled, encoded=True), json={"name": "x"}, headers={**caller.headers, "Idempotency-Key": key}) as r:
            b = await r.json()
            print(spelled, r.status, b.get("id"), r.headers.get("Idempotency-Replayed"))
            ids.add(b.get("id"))
    assert len(ids) == 1

async def test_batch_orders(caller, stranger, kafka, system):
    acc = UUID(await caller.an_account()); al = UUID(await caller.an_allocation()); al2=UUID(await caller.an_allocation())
    c = lambda: CreateConfiguration(account_id=acc, allocation_id=al)
    d = lambda: DeleteConfiguration(account_id=acc)
    ch = lambda: ChangeConfiguration(account_id=acc, allocation_id=al2)
    plan = [("d0", d(), "R"), ("c1", c(), "A"), ("c2", c(), "R"), ("ch", ch(), "A"), ("d1", d(), "A"), ("d2", d(), "R"), ("ch2", ch(), "R"), ("c3", c(), "A"), ("c1", c(), "A"), ("d0", d(), "R"), ("d3", d(), "A"), ("c4", c(), "A")]
    producer = kafka.producer(); await producer.start()
    recs = []
    for i, cmd, _ in plan:
        recs.append(a_record(cmd, caller.client_id, id=i))
        recs.append(a_record(cmd, stranger.client_id, id="s" + i))
    futs = [await producer.send(kafka.physical(r.topic), key=r.key, value=r.value, headers=r.headers) for r in recs]
    await producer.flush(); await producer.stop()
    replies = await replies_to(kafka, [x for i, _, _ in plan for x in (i, "s" + i)], str(acc), count=1)
    await asyncio.sleep(6)
    replies = await replies_to(kafka, [x for i, _, _ in plan for x in (i, "s" + i)], str(acc), count=1)
    print(len(replies), len(recs))
    from pathlib import Path
    Path('/tmp/hostile.log').write_text(next(iter(system.services.values())).command.log.read_text())
    got = [(r.message.command_id, r.type[7]) for r in replies]
    print(got); print([ (r.headers, r.value[:200]) for r in await __import__("deploy.local.topics", fromlist=["x"]).records_of(kafka, "config_service.commands.parked.v1", 3)][:3])
    assert [g for g in got if not g[0].startswith("s")] == [(i, e) for i, _, e in plan]
    assert all(g[1] == "R" for g in got if g[0].startswith("s"))
