"""What the dispatcher does by the clock: sending what is due, dropping what is old."""

from .delivery import DeliveryWorker
from .housekeeping import Retention
from .recording import Rules
from .slots import Limits

__all__ = ["DeliveryWorker", "Limits", "Retention", "Rules"]
