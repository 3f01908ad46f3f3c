"""What the dispatcher does by the clock: sending what is due, dropping what is old."""

from .backlog import DeliveryBacklog
from .delivery import DeliveryWorker
from .housekeeping import Retention
from .measures import MEASURES
from .recording import Rules
from .slots import Limits

__all__ = ["MEASURES", "DeliveryBacklog", "DeliveryWorker", "Limits", "Retention", "Rules"]
