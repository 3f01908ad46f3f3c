"""The points at which a crash leaves a delivery half done; fault tests enumerate them like the kit's own."""

from enum import StrEnum


class DeliveryBoundary(StrEnum):
    """Where the delivery worker may be cut off (see `shared.kit.boundaries`)."""

    #: rows are leased, nothing of them is sent yet
    CLAIMED = "delivery.claimed"
    #: an endpoint has answered, nothing of it is recorded yet
    SENT = "delivery.sent"
    #: outcomes are committed, the slots are not free yet
    RECORDED = "delivery.recorded"
