"""What an upstream service of the stories asks for."""

from typing import Any
from uuid import uuid4

from deploy.local.demo.upstream import Answer, Upstream


def order_of(account: str) -> dict[str, str]:
    """A small order, by somebody new."""
    return {
        "user_id": str(uuid4()),
        "account_id": account,
        "cash_amount": "10.00",
        "currency": "EUR",
        "side": "BUY",
    }


async def place(upstream: Upstream, account: str) -> Answer:
    """Ask once for an order."""
    return await upstream.call("order_service", "POST", "/portfolios/orders", order_of(account))


async def configured(upstream: Upstream) -> str:
    """Open an account and configure it; answers its id."""

    async def made(path: str, body: dict[str, Any]) -> Any:
        answer = await upstream.call("config_service", "POST", path, body)
        assert answer.status == 201, answer
        return answer.json

    item = {"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}
    allocation = await made("/portfolios/allocations", {"allocation": [item]})
    account = await made("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"})
    link = {"account_id": account["account_id"], "allocation_id": allocation["allocation_id"]}
    await made("/portfolios/configurations", link)
    return str(account["account_id"])
