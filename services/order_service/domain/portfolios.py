"""What a ledger portfolio allows its accounts."""

from shared.contracts import PORTFOLIO_BLOCKED, PortfolioState


def stops_orders(state: PortfolioState) -> bool:
    """Whether the accounts of a portfolio in this state take no orders; one that was deleted has no accounts."""
    return state.status_code == PORTFOLIO_BLOCKED and state.deleted_at is None
