"""One running system for the stories that only look at it or restart parts of it."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack
from tests.conftest import PARTITIONS


@pytest.fixture(scope="session")
def system(stack: Stack) -> Iterator[RunningSystem]:
    prefix, environment = f"s{uuid4().hex[:8]}_", {"PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS)}
    with running_system(stack, prefix=prefix, environment=environment) as running:
        yield running
