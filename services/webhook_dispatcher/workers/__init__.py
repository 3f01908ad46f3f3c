"""What the dispatcher does by the clock: sending what is due, dropping what is old."""

from .backlog import DeliveryBacklog
from .delivery import DeliveryWorker
from .disabling import Disabling
from .housekeeping import Retention
from .measures import MEASURES, Stops
from .recording import Rules
from .recoveries import Recoveries
from .slots import Limits

__all__ = [
    "MEASURES",
    "DeliveryBacklog",
    "DeliveryWorker",
    "Disabling",
    "Limits",
    "Recoveries",
    "Retention",
    "Rules",
    "Stops",
]
