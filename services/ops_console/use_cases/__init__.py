"""What can be asked of the console."""

from .groups import GroupSeen, groups_seen
from .stories import story_of

__all__ = ["GroupSeen", "groups_seen", "story_of"]
