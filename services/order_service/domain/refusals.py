"""What the order service refuses, each a fact."""

from shared.kit.refusals import Conflict, FieldError, InvalidRequest, NotFound, Refused, Unavailable, Unprocessable


class AmountNotPlaceable(InvalidRequest):
    """The amount cannot be placed in this currency."""

    def __init__(self, field: str, why: str) -> None:
        super().__init__(f"{field} {why}.", errors=[FieldError(f"body.{field}", why)])


class AmountTooFine(Unprocessable):
    """The amount has more decimals than its currency is divided into."""

    def __init__(self, decimals: int, currency: str) -> None:
        why = f"has more than the {decimals} decimals of {currency}"
        super().__init__(f"cash_amount {why}.", errors=[FieldError("body.cash_amount", why)])


class AccountNotFound(NotFound):
    """There is no such account."""


class AccountCannotTakeOrders(Unprocessable):
    """Only accounts of type PORTFOLIO take portfolio orders."""


class AccountNotActive(Unprocessable):
    """The account is not ACTIVE."""


class PortfolioBlocked(Unprocessable):
    """The account's ledger portfolio is BLOCKED."""


class ConfigurationMissing(Unprocessable):
    """The account has no configuration."""


class ConfigurationOutdated(Conflict):
    """The configuration version that is named is older than the account's current one."""


class ConfigurationNotKnownYet(Conflict):
    """The configuration version that is named is newer than any that is known here; try again soon."""

    def __init__(self) -> None:
        super().__init__(retry_after=1.0)


class AccountNotTrustworthy(Unavailable):
    """What is known of the account cannot be trusted until its next event has been read."""

    def __init__(self) -> None:
        super().__init__(retry_after=5.0)


class OrderNotFound(NotFound):
    """There is no such order."""


class TransitionNotAllowed(Conflict):
    """The order's present status does not allow this."""

    def __init__(self, present: str, allowed: tuple[str, ...]) -> None:
        super().__init__(f"The order is {present}; this is possible only while it is {' or '.join(allowed)}.")


class ExecutionNotFound(NotFound):
    """There is no such rebalancing execution."""


class ExecutionAlreadyRequested(Conflict):
    """There is a rebalancing execution with this id already."""


class ReasonNotUpstreams(InvalidRequest):
    """Upstream says what it found; that an order was cancelled by its client is for the client to say."""

    def __init__(self) -> None:
        super().__init__(errors=[FieldError("body.reason", "must be what upstream found, not CANCELLED_BY_CLIENT")])


#: Refusals that a newer copy of the account may lift: none of them stands before the read barrier has passed.
RESTING_ON_THE_COPY: tuple[type[Refused], ...] = (
    AccountNotFound,
    AccountCannotTakeOrders,
    AccountNotActive,
    AccountNotTrustworthy,
    PortfolioBlocked,
    ConfigurationMissing,
    ConfigurationNotKnownYet,
)
