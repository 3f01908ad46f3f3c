"""What subscribers call the events, and which of them a subscription wants."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from shared.contracts import (
    AccountCreated,
    AccountUpdated,
    AllocationChanged,
    AllocationCreated,
    AllocationDeleted,
    ConfigurationChanged,
    ConfigurationCreated,
    ConfigurationDeleted,
    Message,
    OrderCancelled,
    OrderFilled,
    OrderPlaced,
    OrderProcessingStarted,
    OrderSettled,
    PortfolioCreated,
    PortfolioDeleted,
    PortfolioUpdated,
    RebalancingOrderCancelled,
    RebalancingOrderCreated,
    RebalancingOrderFilled,
    RebalancingOrderProcessingStarted,
)
from shared.kit.refusals import FieldError, InvalidRequest

#: asks for every type, those of the future included
ALL: Final = "ALL"


class WebhookType(StrEnum):
    """Every type of event that a subscriber may be told of; the part before the dot is its category."""

    REBALANCING_NEW = "REBALANCING_EXECUTION_ORDER.NEW"
    REBALANCING_PROCESSING = "REBALANCING_EXECUTION_ORDER.PROCESSING"
    REBALANCING_FILLED = "REBALANCING_EXECUTION_ORDER.FILLED"
    REBALANCING_CANCELLED = "REBALANCING_EXECUTION_ORDER.CANCELLED"
    ORDER_NEW = "PORTFOLIO_ORDER.NEW"
    ORDER_PROCESSING = "PORTFOLIO_ORDER.PROCESSING"
    ORDER_FILLED = "PORTFOLIO_ORDER.FILLED"
    ORDER_SETTLED = "PORTFOLIO_ORDER.SETTLED"
    ORDER_CANCELLED = "PORTFOLIO_ORDER.CANCELLED"
    ALLOCATION_CREATED = "PORTFOLIO_ALLOCATION.CREATED"
    ALLOCATION_CHANGED = "PORTFOLIO_ALLOCATION.CHANGED"
    ALLOCATION_DELETED = "PORTFOLIO_ALLOCATION.DELETED"
    CONFIGURATION_CREATED = "PORTFOLIO_CONFIGURATION.CREATED"
    CONFIGURATION_CHANGED = "PORTFOLIO_CONFIGURATION.CHANGED"
    CONFIGURATION_DELETED = "PORTFOLIO_CONFIGURATION.DELETED"
    ACCOUNT_CREATED = "ACCOUNT.CREATED"
    ACCOUNT_UPDATED = "ACCOUNT.UPDATED"
    PORTFOLIO_CREATED = "PORTFOLIO.CREATED"
    PORTFOLIO_UPDATED = "PORTFOLIO.UPDATED"
    PORTFOLIO_DELETED = "PORTFOLIO.DELETED"
    #: asked for by the subscriber, for one subscription, whatever it has selected
    TEST = "WEBHOOK.TEST"

    @property
    def category(self) -> str:
        """The part before the dot."""
        return self.value.partition(".")[0]


_OF_MESSAGES: Final[Mapping[type[Message], WebhookType]] = MappingProxyType(
    {
        RebalancingOrderCreated: WebhookType.REBALANCING_NEW,
        RebalancingOrderProcessingStarted: WebhookType.REBALANCING_PROCESSING,
        RebalancingOrderFilled: WebhookType.REBALANCING_FILLED,
        RebalancingOrderCancelled: WebhookType.REBALANCING_CANCELLED,
        OrderPlaced: WebhookType.ORDER_NEW,
        OrderProcessingStarted: WebhookType.ORDER_PROCESSING,
        OrderFilled: WebhookType.ORDER_FILLED,
        OrderSettled: WebhookType.ORDER_SETTLED,
        OrderCancelled: WebhookType.ORDER_CANCELLED,
        AllocationCreated: WebhookType.ALLOCATION_CREATED,
        AllocationChanged: WebhookType.ALLOCATION_CHANGED,
        AllocationDeleted: WebhookType.ALLOCATION_DELETED,
        ConfigurationCreated: WebhookType.CONFIGURATION_CREATED,
        ConfigurationChanged: WebhookType.CONFIGURATION_CHANGED,
        ConfigurationDeleted: WebhookType.CONFIGURATION_DELETED,
        AccountCreated: WebhookType.ACCOUNT_CREATED,
        AccountUpdated: WebhookType.ACCOUNT_UPDATED,
        PortfolioCreated: WebhookType.PORTFOLIO_CREATED,
        PortfolioUpdated: WebhookType.PORTFOLIO_UPDATED,
        PortfolioDeleted: WebhookType.PORTFOLIO_DELETED,
    }
)

#: what happens, in contrast to a test
ANNOUNCED: Final = tuple(each for each in WebhookType if each is not WebhookType.TEST)
CATEGORIES: Final = frozenset(each.category for each in ANNOUNCED)
#: what may be named one by one
SELECTABLE: Final = CATEGORIES | frozenset(each.value for each in ANNOUNCED)


def webhook_type_of(message: Message) -> WebhookType:
    """The type under which subscribers know `message`; KeyError for what is not announced to them."""
    return _OF_MESSAGES[type(message)]


@dataclass(frozen=True)
class Selection:
    """Which types a subscription wants: `ALL`, categories and full types, less the excluded ones."""

    types: frozenset[str]
    excluded: frozenset[str] = frozenset()

    def wants(self, webhook_type: WebhookType) -> bool:
        """Whether events of `webhook_type` go to this subscription; an exclusion wins."""
        names = {webhook_type.value, webhook_type.category}
        return not names & self.excluded and bool({*names, ALL} & self.types)


def check_selection(types: Sequence[str], excluded: Sequence[str]) -> Selection:
    """Refuse what is no type; raises InvalidRequest naming each wrong entry."""
    errors = [*_unknown("body.type", types, SELECTABLE | {ALL}), *_unknown("body.exclude_type", excluded, SELECTABLE)]
    if ALL in types and len(types) > 1:
        errors.append(FieldError("body.type", f"{ALL} stands alone; leave types out with exclude_type"))
    if errors:
        raise InvalidRequest(errors=errors)
    return Selection(frozenset(types), frozenset(excluded))


def _unknown(location: str, names: Iterable[str], known: frozenset[str]) -> list[FieldError]:
    return [
        FieldError(f"{location}.{position}", "is not an event type; GET /webhooks/types lists them")
        for position, name in enumerate(names)
        if name not in known
    ]
