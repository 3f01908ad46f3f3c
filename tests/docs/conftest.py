"""One running system for all pages whose commands are typed, with names as `make up` has them."""

from collections.abc import Iterator

import pytest

from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack


@pytest.fixture(scope="session")
def system(stack: Stack) -> Iterator[RunningSystem]:
    with running_system(stack) as running:
        yield running
