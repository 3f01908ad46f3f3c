"""What ops want to know, decided without any input or output."""

from .groups import Look, Standing, State, by_group, standing_of, state_of, worst_of
from .stories import Happened, in_order

__all__ = ["Happened", "Look", "Standing", "State", "by_group", "in_order", "standing_of", "state_of", "worst_of"]
