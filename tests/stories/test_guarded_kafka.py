"""Kafka asks who comes: every service signs in with its own name, over TLS, and may do what it must and no more."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its package does not say that it exports them
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from deploy.local.demo.evidence import Evidence
from deploy.local.demo.upstream import upstream_of
from deploy.local.kafka import Guard, start_kafka
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import Leash, wait_until
from deploy.local.services import RunningSystem, ServiceProcess, running_system, service_names
from deploy.local.stack import Stack
from shared.contracts import TOPICS
from shared.kit.kafka import Kafka
from shared.kit.kafka_security import KafkaSecurity
from shared.kit.reading import partitions_of, reader, records_until_now
from tests.commands import Ran, run_command
from tests.conftest import PRELOADED, eventually

from .asking import configured, place

ADMINISTRATOR = "admin"
PREFIX = "guarded."
PASSWORDS = {name: f"password of {name}" for name in (*service_names(), "ops_console", "nobody", ADMINISTRATOR)}


@dataclass(frozen=True)
class Guarded:
    """The broker behind its guard, and what trusts it."""

    stack: Stack
    ca_file: Path

    def security(self, name: str, *, password: str | None = None) -> KafkaSecurity:
        return KafkaSecurity("SASL_SSL", "SCRAM-SHA-512", name, password or PASSWORDS[name], self.ca_file)

    def kafka(self, name: str) -> Kafka:
        return Kafka(self.stack.kafka, PREFIX, client_id=name, security=self.security(name))

    def environment(self, name: str) -> dict[str, str]:
        return {
            "PORTFOLIO_BUS_KAFKA_PROTOCOL": "SASL_SSL",
            "PORTFOLIO_BUS_KAFKA_USERNAME": name,
            "PORTFOLIO_BUS_KAFKA_PASSWORD": PASSWORDS[name],
            "PORTFOLIO_BUS_KAFKA_CA_FILE": str(self.ca_file),
        }


def certificate() -> tuple[str, str]:
    """A certificate for this machine that is its own authority, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(LOOPBACK))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.public_bytes(Encoding.PEM).decode(), private.decode()


@pytest.fixture(scope="module")
def guarded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    place = tmp_path_factory.mktemp("guarded")
    leash = Leash(place, remove=False, preloaded=PRELOADED)
    try:
        port, controller, guarded_port = free_ports(3)
        chain, key = certificate()
        ca_file = place / "ca.pem"
        ca_file.write_text(chain)
        bootstrap, _ = start_kafka(leash, place, [port, controller], guard=Guard(guarded_port, chain, key))
        make_users(bootstrap)
        address = f"{LOOPBACK}:{guarded_port}"
        yield Guarded(replace(stack, kafka=address, directory=place, leash=leash), ca_file)
    finally:
        leash.close()


def make_users(bootstrap: str) -> None:
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    users: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, info, word.encode()) for name, word in PASSWORDS.items()
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for answer in admin.alter_user_scram_credentials(users).values():
        answer.result(20)


@pytest.fixture(scope="module")
def system(guarded: Guarded) -> Iterator[RunningSystem]:
    """Installed by an administrator, who grants each service its own; then run by the services as themselves."""
    for name in service_names():
        install(guarded, name)
    each = {name: guarded.environment(name) for name in service_names()}
    # What is neither of them makes clients, which config_service has, and then goes by its name.
    common = guarded.environment("config_service")
    with running_system(guarded.stack, prefix=PREFIX, environment=common, each=each) as running:
        yield running


def install(guarded: Guarded, name: str) -> None:
    environment = {
        **os.environ,
        **guarded.environment(ADMINISTRATOR),
        "PORTFOLIO_BUS_KAFKA": guarded.stack.kafka,
        "PORTFOLIO_BUS_KAFKA_GRANT_TO": f"User:{name}",
        "PORTFOLIO_BUS_TOPIC_PREFIX": PREFIX,
        "PORTFOLIO_BUS_DATABASE_URL": guarded.stack.create_database(PREFIX + name),
        "PORTFOLIO_BUS_ISSUER_URL": "http://127.0.0.1:1",
        "PORTFOLIO_BUS_SECRET_KEYS": Fernet.generate_key().decode(),
    }
    ran = run_command(guarded.stack.leash, guarded.stack.directory, name, "migrate", env=environment)
    assert ran.status == 0, ran.err


async def test_the_story_holds_where_every_service_may_do_its_own_alone(
    guarded: Guarded, system: RunningSystem
) -> None:
    kafka = guarded.kafka(ADMINISTRATOR)
    async with upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        account = await configured(upstream)

        async def taken() -> bool:
            return (await place(upstream, account)).status == 201

        await eventually(taken)
        answer = await upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account}")
        assert answer.status == 204, answer
        await eventually(lambda: all_cancelled(system, kafka, account))


async def all_cancelled(system: RunningSystem, kafka: Kafka, account: str) -> bool:
    query = "SELECT status FROM orders WHERE account_id = $1::uuid"
    rows = await Evidence(system, kafka).rows("order_service", query, account)
    return {row["status"] for row in rows} == {"CANCELLED"}


@pytest.mark.usefixtures("system")
async def test_what_is_not_granted_is_refused(guarded: Guarded) -> None:
    with pytest.raises(TopicAuthorizationFailedError):
        await read_all(guarded.kafka("webhook_dispatcher"), "orders.commands.v1")
    producer = guarded.kafka("webhook_dispatcher").producer()
    await producer.start()
    try:
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(PREFIX + "configurations.events.v1", b"forged")
    finally:
        await producer.stop()
    relay = guarded.kafka("webhook_dispatcher").transactional_producer("config_service.relay.0")
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await relay.start(20)
    await relay.close()


async def read_all(kafka: Kafka, topic: str) -> int:
    async with reader(kafka) as consumer:
        return len([record async for record in records_until_now(consumer, await partitions_of(kafka, topic))])


def test_a_service_with_anothers_name_or_a_wrong_password_is_not_ready_and_says_why(
    guarded: Guarded, system: RunningSystem
) -> None:
    wrong = {**guarded.environment("order_service"), "PORTFOLIO_BUS_KAFKA_PASSWORD": "guessed"}
    another = guarded.environment("webhook_dispatcher")
    # Of a password that is refused aiokafka tells its log alone; what it says then is that no broker takes it.
    for label, environment, why in (("another", another, "Authorization"), ("guessed", wrong, "Unable to bootstrap")):
        process = system.start("order_service", label=f"order_service-{label}", environment=environment)
        try:
            wait_until(process, lambda process=process: refused(process), seconds=30)  # type: ignore[misc]
            assert re.search(f"consumers are not started: .*{why}", why_not_ready(process))
        finally:
            process.stop()
            del system.services[f"order_service-{label}"]


def why_not_ready(process: ServiceProcess) -> str:
    connection = HTTPConnection(process.url.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", "/health/ready?role=all")
        answer = connection.getresponse()
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE
        return answer.read().decode()
    finally:
        connection.close()


def refused(process: ServiceProcess) -> bool:
    said = process.command.log.read_text()
    return "consumers not started" in said and ("Authorization" in said or "Authentication" in said)


@pytest.mark.usefixtures("system")
def test_the_console_is_granted_to_look_at_everything_and_to_change_nothing_but_by_commands(
    guarded: Guarded, tmp_path: Path
) -> None:
    common = {
        **os.environ,
        "PORTFOLIO_BUS_KAFKA": guarded.stack.kafka,
        "PORTFOLIO_BUS_TOPIC_PREFIX": PREFIX,
    }

    def console(name: str, *arguments: str) -> Ran:
        env = common | guarded.environment(name)
        # In a folder in which no stack of a developer's is.
        return run_command(
            guarded.stack.leash, guarded.stack.directory, "ops_console", *arguments, env=env, cwd=tmp_path
        )

    seen = console("ops_console", "topics", "--json", "--window", "0")
    assert (seen.status, json.loads(seen.out or "[]")) == (0, []), "what may not be looked at is not there"
    refused = console("ops_console", "grant", "User:ops_console")
    assert refused.status == 1
    assert "did not take the access lists" in refused.err
    granted = console(ADMINISTRATOR, "grant", "User:ops_console")
    assert granted.status == 0, granted.err
    again = console(ADMINISTRATOR, "grant", "User:ops_console", "--json")
    told = json.loads(again.out)
    assert told["principal"] == "User:ops_console"
    assert f"{told['entries']} entries" in granted.out, "to be granted what one has changes nothing"

    topics = console("ops_console", "topics", "--json", "--window", "0")
    assert {each["name"] for each in json.loads(topics.out)} >= {topic.name for topic in TOPICS}
    lag = console("ops_console", "lag", "--json", "--window", "0.1")
    assert "order_service.copies" in lag.out, lag.err
    parked = console("ops_console", "parked", "list", "--json")
    assert parked.status == 0, parked.err
    assert console("nobody", "topics", "--json", "--window", "0").out.strip() == "[]"
