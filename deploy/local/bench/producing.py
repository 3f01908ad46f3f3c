"""The unavoidable part of relaying: the same producer sends ready messages in transactions, and nothing else is done.

Run as `python -m deploy.local.bench.producing BOOTSTRAP PREFIX MESSAGES`; prints messages a second.
"""

from __future__ import annotations

import sys
import time

import uvloop

from deploy.local.bench.backlog import PAYLOAD_BYTES
from deploy.local.bench.orders import an_order
from shared.contracts import ORDERS_EVENTS, new_envelope, new_id, partition_of, to_headers
from shared.contracts.topics import DEFAULT_PARTITIONS
from shared.kit.kafka import Kafka
from shared.kit.producer import Headers
from shared.kit.waiting import ROWS

_SECONDS = 60.0


async def _produce(bootstrap: str, prefix: str, messages: int) -> float:
    kafka = Kafka(bootstrap, prefix, client_id="bench")
    order = an_order(new_id())
    envelope = new_envelope(order, source="/bench", client_id=new_id(), correlation_id="bench")
    headers: Headers = {name: value.decode() for name, value in to_headers(envelope)}
    keys = [str(new_id()) for _ in range(1000)]
    ready = [(partition_of(key, DEFAULT_PARTITIONS), key) for key in keys]
    topic, payload = kafka.physical(ORDERS_EVENTS.name), b"x" * PAYLOAD_BYTES
    producer = kafka.transactional_producer("bench.produce-only")
    await producer.start()
    began = time.monotonic()
    for first in range(0, messages, ROWS):
        producer.begin()
        for number in range(first, min(first + ROWS, messages)):
            producer.send(topic, *ready[number % len(ready)], payload, headers)
        await producer.delivered(_SECONDS)
        await producer.commit(_SECONDS)
    rate = messages / (time.monotonic() - began)
    await producer.close()
    return rate


if __name__ == "__main__":
    print(uvloop.run(_produce(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
