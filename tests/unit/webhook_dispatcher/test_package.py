"""The body of a webhook."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import orjson

from services.webhook_dispatcher.domain import Happening, message_id_of, package

from .messages import order_placed


def test_a_body_carries_the_event_and_the_whole_resource() -> None:
    message, subscription = order_placed(uuid4()), uuid4()
    at = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
    event = Happening.of(message, client_id=uuid4(), source="/x", id='upstream "7"', time=at)
    body = orjson.loads(package(event, subscription))

    assert body == {
        "payload": [
            {
                "id": 'upstream "7"',
                "created_at": "2026-01-31T12:00:00.000000Z",
                "type": "PORTFOLIO_ORDER.NEW",
                "object": orjson.loads(message.model_dump_json()),
                "webhook_id": str(subscription),
            }
        ]
    }
    assert body["payload"][0]["object"]["cash_amount"] == "100.00"


def test_a_message_id_is_the_deliverys_own() -> None:
    assert message_id_of(UUID(int=255)) == "msg_000000000000000000000000000000ff"
