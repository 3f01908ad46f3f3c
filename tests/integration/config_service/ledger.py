"""What the tests of the ledger begin with: an organization, a ledger, portfolios in it."""

from typing import Any
from uuid import uuid4

from .callers import Answer, Caller

#: the body of the documented request, as it stands there
DOCUMENTED = """{
  "name": "High-Value Customer Portfolio - Updated",
  "status": {
    "code": "BLOCKED",
    "description": "Portfolio temporarily blocked due to compliance review"
  },
  "metadata": {
    "riskProfile": "medium",
    "portfolioManager": "wealth-management-team",
    "minBalanceRequirement": 600000,
    "automaticEnrollment": true,
    "eligibilityCriteria": "KYC level 4 and internal credit score > 820",
    "currencyExposure": [
      "USD",
      "BRL",
      "EUR",
      "GBP"
    ],
    "investmentProfile": "balanced"
  }
}"""


async def a_ledger(caller: Caller) -> str:
    """Make an organization with a ledger; answers the path of the ledger's portfolios."""
    organization = await caller.post("/v1/organizations", {"legalName": "Aurora Oy", "legalDocument": "2345678-9"})
    assert organization.status == 201, organization.body
    path = f"/v1/organizations/{organization.body['id']}/ledgers"
    ledger = await caller.post(path, {"name": f"ledger {uuid4()}"})
    assert ledger.status == 201, ledger.body
    return f"{path}/{ledger.body['id']}/portfolios"


async def a_portfolio(caller: Caller, base: str | None = None, **fields: Any) -> str:
    """Make a portfolio; answers its path."""
    base = base or await a_ledger(caller)
    made = await caller.post(base, {"name": "Savings", **fields})
    assert made.status == 201, made.body
    return f"{base}/{made.body['id']}"


async def head(caller: Caller, path: str) -> Answer:
    """Ask for the headers alone."""
    async with caller.session.head(path, headers=caller.headers) as response:
        return Answer(response.status, await response.read(), response.headers)


async def send_raw(caller: Caller, method: str, path: str, body: bytes | str, **headers: str) -> Answer:
    """Send a body byte for byte."""
    sent = {"Content-Type": "application/json", **caller.headers, **headers}
    async with caller.session.request(method, path, data=body, headers=sent) as response:
        return Answer(response.status, await response.json(content_type=None), response.headers)


def id_in(path: str) -> str:
    """The id at the end of a path."""
    return path.rpartition("/")[2]
