"""The copies of other services' state: who is configured, and whose an account is. Applied by revision only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import Gate
from shared.contracts import CONFIGURATIONS_EVENTS

#: the consumer group that applies the copies, and whose positions tell how far they have come
KEEPER = "webhook_dispatcher.copies"


@dataclass(frozen=True)
class ConfigurationCopy:
    """One account's configuration as an event tells it, and where that event stands in Kafka."""

    account_id: UUID
    client_id: UUID
    version: int
    revision: int
    configured: bool
    partition: int
    offset: int

    @property
    def deleted_version(self) -> int:
        """The newest version that this state proves to be deleted; 0 for none."""
        return self.version - 1 if self.configured else self.version


@dataclass(frozen=True)
class AccountCopy:
    """One account's owner."""

    account_id: UUID
    client_id: UUID
    revision: int


@dataclass(frozen=True)
class ClientCopy:
    """Whether a client's access was revoked, which is final."""

    client_id: UUID
    revision: int
    revoked: bool


@dataclass(frozen=True)
class Deletion:
    """Every version of an account's configuration up to this one is deleted."""

    account_id: UUID
    version: int


#: Applies states that are newer than the copy's, in the order of the accounts; answers the accounts that changed.
#: A newer state lifts the quarantine, and brings the deletion's position along when it deletes anything.
_APPLY_CONFIGURATIONS = text(
    """
    INSERT INTO configurations AS known
           (account_id, client_id, version, revision, configured, partition, deletion_position)
    SELECT account_id, client_id, version, revision, configured, partition,
           CASE WHEN deleted > 0 THEN position END
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:clients AS uuid[]), CAST(:versions AS bigint[]),
                CAST(:revisions AS bigint[]), CAST(:configured AS boolean[]), CAST(:partitions AS int[]),
                CAST(:offsets AS bigint[]), CAST(:deleted AS bigint[]))
         AS told(account_id, client_id, version, revision, configured, partition, position, deleted)
    ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE
    SET client_id = excluded.client_id, version = excluded.version, revision = excluded.revision,
        configured = excluded.configured, quarantined = NULL, partition = excluded.partition,
        deletion_position = CASE WHEN known.configured AND (NOT excluded.configured OR excluded.version > known.version)
                                 THEN excluded.deletion_position ELSE known.deletion_position END
    WHERE known.revision < excluded.revision
    RETURNING account_id, CASE WHEN configured THEN version - 1 ELSE version END AS deleted
    """
)

_APPLY_ACCOUNTS = text(
    """
    INSERT INTO accounts AS known (account_id, client_id, revision)
    SELECT account_id, client_id, revision
    FROM unnest(CAST(:accounts AS uuid[]), CAST(:clients AS uuid[]), CAST(:revisions AS bigint[]))
         AS told(account_id, client_id, revision)
    ORDER BY account_id
    ON CONFLICT (account_id) DO UPDATE SET client_id = excluded.client_id, revision = excluded.revision
    WHERE known.revision < excluded.revision
    """
)

#: Answers the clients that are revoked by what is newer; whoever plans for them or subscribes waits for the commit.
_APPLY_CLIENTS = text(
    """
    INSERT INTO clients AS known (client_id, revision, revoked)
    SELECT client_id, revision, revoked
    FROM unnest(CAST(:clients AS uuid[]), CAST(:revisions AS bigint[]), CAST(:revoked AS boolean[]))
         AS told(client_id, revision, revoked)
    ORDER BY client_id
    ON CONFLICT (client_id) DO UPDATE SET revision = excluded.revision, revoked = known.revoked OR excluded.revoked
    WHERE known.revision < excluded.revision
    RETURNING client_id, revoked
    """
)

#: Locks a client's row, made where nothing was announced of it yet: its revocation waits until the commit.
_HOLD_CLIENT = text(
    """
    INSERT INTO clients AS known (client_id) VALUES (:client_id)
    ON CONFLICT (client_id) DO UPDATE SET revision = known.revision RETURNING revoked
    """
)

#: Shuts the gate of known accounts; an unknown account has no open gate. Locked in the order of the accounts.
_QUARANTINE = text(
    """
    WITH lost AS (
        SELECT account_id, place FROM configurations
        JOIN unnest(CAST(:accounts AS uuid[]), CAST(:places AS text[])) AS lost(account_id, place) USING (account_id)
        ORDER BY account_id FOR NO KEY UPDATE OF configurations)
    UPDATE configurations SET quarantined = lost.place FROM lost WHERE configurations.account_id = lost.account_id
    """
)

#: A redriven record that can be read by now, but says nothing new, has left no hole.
_LIFT = text(
    """
    WITH found AS (
        SELECT account_id FROM configurations
        JOIN unnest(CAST(:accounts AS uuid[]), CAST(:places AS text[])) AS found(account_id, place) USING (account_id)
        WHERE quarantined = place ORDER BY account_id FOR NO KEY UPDATE OF configurations)
    UPDATE configurations SET quarantined = NULL FROM found WHERE configurations.account_id = found.account_id
    """
)

#: FOR SHARE: a deletion waits until what is planned on these values is there for it to stop.
_GATES = text(
    """
    SELECT account_id, version, configured, quarantined IS NOT NULL AS quarantined, position
    FROM configurations AS known
    LEFT JOIN applied_positions AS applied
           ON applied.consumer = :keeper AND applied.topic = :topic AND applied.partition = known.partition
    WHERE account_id = ANY(CAST(:accounts AS uuid[])) ORDER BY account_id FOR SHARE OF known
    """
)

_OWNERS = text("SELECT account_id, client_id FROM accounts WHERE account_id = ANY(CAST(:accounts AS uuid[]))")


async def apply_configurations(connection: AsyncConnection, told: Iterable[ConfigurationCopy]) -> list[Deletion]:
    """Apply what is newer; answers the deletions, explicit or implied, that came with it."""
    copies = _newest(told)
    applied = await connection.execute(
        _APPLY_CONFIGURATIONS,
        {
            "accounts": [copy.account_id for copy in copies],
            "clients": [copy.client_id for copy in copies],
            "versions": [copy.version for copy in copies],
            "revisions": [copy.revision for copy in copies],
            "configured": [copy.configured for copy in copies],
            "partitions": [copy.partition for copy in copies],
            "offsets": [copy.offset for copy in copies],
            "deleted": [copy.deleted_version for copy in copies],
        },
    )
    return [Deletion(row.account_id, row.deleted) for row in applied if row.deleted]


def _newest(told: Iterable[ConfigurationCopy]) -> list[ConfigurationCopy]:
    # One statement cannot update a row twice; the newest state says all that the ones before it said.
    newest: dict[UUID, ConfigurationCopy] = {}
    for copy in told:
        if copy.account_id not in newest or newest[copy.account_id].revision < copy.revision:
            newest[copy.account_id] = copy
    return list(newest.values())


async def apply_accounts(connection: AsyncConnection, told: Iterable[AccountCopy]) -> None:
    """Apply what is newer."""
    newest: dict[UUID, AccountCopy] = {}
    for copy in told:
        if copy.account_id not in newest or newest[copy.account_id].revision < copy.revision:
            newest[copy.account_id] = copy
    await connection.execute(
        _APPLY_ACCOUNTS,
        {
            "accounts": list(newest),
            "clients": [copy.client_id for copy in newest.values()],
            "revisions": [copy.revision for copy in newest.values()],
        },
    )


async def apply_clients(connection: AsyncConnection, told: Iterable[ClientCopy]) -> list[UUID]:
    """Apply what is newer; answers the clients that are revoked by it."""
    newest: dict[UUID, ClientCopy] = {}
    for copy in told:
        if copy.client_id not in newest or newest[copy.client_id].revision < copy.revision:
            newest[copy.client_id] = copy
    applied = await connection.execute(
        _APPLY_CLIENTS,
        {
            "clients": list(newest),
            "revisions": [copy.revision for copy in newest.values()],
            "revoked": [copy.revoked for copy in newest.values()],
        },
    )
    return [row.client_id for row in applied if row.revoked]


async def hold_client(connection: AsyncConnection, client_id: UUID) -> bool:
    """Whether the client may have webhooks, as far as is known; that stays so until the commit."""
    return not (await connection.execute(_HOLD_CLIENT, {"client_id": client_id})).scalar_one()


async def quarantine(connection: AsyncConnection, lost: Mapping[UUID, str]) -> None:
    """Trust the copies of these accounts no longer; with each the place of the record that could not be read."""
    await connection.execute(_QUARANTINE, {"accounts": list(lost), "places": list(lost.values())})


async def lift_quarantine(connection: AsyncConnection, found: Mapping[UUID, str]) -> None:
    """Trust the copies again that were quarantined for the records at exactly these places."""
    await connection.execute(_LIFT, {"accounts": list(found), "places": list(found.values())})


async def gates_of(connection: AsyncConnection, accounts: Iterable[UUID]) -> dict[UUID, Gate]:
    """The configurations of `accounts`, locked until the transaction ends; accounts never configured are missing."""
    asked = {"accounts": sorted(set(accounts)), "keeper": KEEPER, "topic": CONFIGURATIONS_EVENTS.name}
    rows = await connection.execute(_GATES, asked)
    return {row.account_id: Gate(row.version, row.configured, row.quarantined, row.position) for row in rows}


async def owners_of(connection: AsyncConnection, accounts: Iterable[UUID]) -> dict[UUID, UUID]:
    """The clients that `accounts` belong to, as far as they are known."""
    rows = await connection.execute(_OWNERS, {"accounts": sorted(set(accounts))})
    return {row.account_id: row.client_id for row in rows}
