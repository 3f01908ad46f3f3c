"""Allocations: the instruments, with their weights, that accounts are to be invested in."""

from enum import StrEnum
from typing import Annotated, ClassVar
from uuid import UUID

from pydantic import Field

from .base import Part, StateEvent
from .topics import ALLOCATIONS_EVENTS, Topic
from .values import DecimalString, Listed, Name, Text, Timestamp

MAX_ALLOCATION_ITEMS = 1_000


class InstrumentIdType(StrEnum):
    """How an instrument is named."""

    ISIN = "ISIN"
    UUID = "UUID"


class AllocationItem(Part):
    """One instrument of an allocation and its share."""

    instrument_id: Annotated[Text, Field(max_length=64)] = Field(description="The instrument")
    instrument_id_type: InstrumentIdType = Field(description="Whether instrument_id is an ISIN or a UUID")
    weight: DecimalString = Field(description="The share, of 1, as a decimal string")


class AllocationState(StateEvent):
    """The whole allocation after a change."""

    topic: ClassVar[Topic] = ALLOCATIONS_EVENTS
    key_field: ClassVar[str] = "allocation_id"

    allocation_id: UUID = Field(description="The allocation")
    name: Name | None = Field(description="What the client calls it")
    allocation: Listed[AllocationItem] = Field(
        max_length=MAX_ALLOCATION_ITEMS, description="The complete list of instruments; weights sum to 1"
    )
    created_at: Timestamp = Field(description="When it was made")
    updated_at: Timestamp = Field(description="When it last changed")
    deleted_at: Timestamp | None = Field(description="When it was deleted; null while it exists")


class AllocationCreated(AllocationState):
    """An allocation was made."""


class AllocationChanged(AllocationState):
    """An allocation's name or instruments changed."""


class AllocationDeleted(AllocationState):
    """An allocation that nothing used was deleted; the body is its last state."""
