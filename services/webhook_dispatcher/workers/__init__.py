"""What the dispatcher does by the clock: sending what is due."""

from .delivery import DeliveryWorker
from .slots import Limits

__all__ = ["DeliveryWorker", "Limits"]
