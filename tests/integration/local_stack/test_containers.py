"""Where a Docker engine answers, Kafka and PostgreSQL are containers, killed and brought back as processes are."""

import docker  # type: ignore[import-untyped]
import pytest

from deploy.local.containers import KAFKA_IMAGE, POSTGRES_IMAGE, ContainerNode
from deploy.local.kafka import brokers_seen
from deploy.local.postgres import answers
from deploy.local.stack import local_stack
from tests.engine import an_engine_with


@pytest.fixture
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    an_engine_with(monkeypatch, KAFKA_IMAGE, POSTGRES_IMAGE)


def _containers() -> set[str]:
    engine = docker.from_env()
    try:
        return {each.name for each in engine.containers.list(all=True) if "ryuk" not in each.name}
    finally:
        engine.close()


@pytest.mark.usefixtures("_engine")
def test_containers_serve_come_back_on_their_data_and_leave_nothing() -> None:
    before = _containers()
    with local_stack() as stack:
        assert stack.nodes.keys() == {"kafka-1", "postgres"}
        assert all(isinstance(node, ContainerNode) for node in stack.nodes.values())
        assert len(_containers() - before) == len(stack.nodes)
        dsn = stack.create_database("kept")
        for node in stack.nodes.values():
            node.kill()
            assert not node.alive()
            node.restart()
            assert node.alive()
        assert brokers_seen(stack.kafka) == 1
        assert answers(dsn)
    assert _containers() <= before
