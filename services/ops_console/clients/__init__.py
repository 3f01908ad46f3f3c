"""What the console reaches: the services over HTTP, and Kafka as one who only looks."""

from .events import Came, after_the_end, until_now
from .groups import First, Groups
from .parked import Parked, ParkedTail, parked_messages, shown
from .provider import NotAnOperator, Provider, Registration
from .reach import Reach
from .receiver import Behaviour, Delivered, Receiver
from .replies import no_reply_within, send
from .services import Services, Trouble
from .topics import TopicSeen, topics_seen

__all__ = [
    "Behaviour",
    "Came",
    "Delivered",
    "First",
    "Groups",
    "NotAnOperator",
    "Parked",
    "ParkedTail",
    "Provider",
    "Reach",
    "Receiver",
    "Registration",
    "Services",
    "TopicSeen",
    "Trouble",
    "after_the_end",
    "no_reply_within",
    "parked_messages",
    "send",
    "shown",
    "topics_seen",
    "until_now",
]
