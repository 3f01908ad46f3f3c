"""One running system for all pages whose commands are typed, with names as `make up` has them."""

from collections.abc import Iterator

import pytest

from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack
from tests.conftest import PARTITIONS


@pytest.fixture(scope="session")
def system(stack: Stack) -> Iterator[RunningSystem]:
    with running_system(stack, environment={"PORTFOLIO_BUS_PARTITIONS": str(PARTITIONS)}) as running:
        yield running
