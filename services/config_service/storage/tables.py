"""The tables as the migrations make them."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Enum,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from shared.contracts import AccountStatus, AccountType

metadata = MetaData()
_moment = DateTime(timezone=True)

clients = Table(
    "clients",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    Column("name", Text),
    Column("scopes", ARRAY(Text)),
    Column("revision", BigInteger),
    Column("created_at", _moment),
    Column("updated_at", _moment),
    Column("revoked_at", _moment),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    Column("secret_hash", Text, primary_key=True),
    Column("created_at", _moment),
    Column("valid_until", _moment),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("sealed", LargeBinary),
    Column("created_at", _moment),
)

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("user_id", Uuid),
    Column("type", Enum(AccountType, native_enum=False)),
    Column("status", Enum(AccountStatus, native_enum=False)),
    Column("name", Text),
    Column("portfolio_id", Uuid),
    Column("revision", BigInteger),
    Column("created_at", _moment),
    Column("updated_at", _moment),
)

allocations = Table(
    "allocations",
    metadata,
    Column("allocation_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("name", Text),
    Column("allocation", JSONB),
    Column("revision", BigInteger),
    Column("created_at", _moment),
    Column("updated_at", _moment),
    Column("deleted_at", _moment),
)

configurations = Table(
    "configurations",
    metadata,
    Column("account_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("allocation_id", Uuid),
    Column("version", BigInteger),
    Column("revision", BigInteger),
    Column("configured", Boolean),
    Column("created_at", _moment),
    Column("updated_at", _moment),
    Column("deleted_at", _moment),
)

organizations = Table(
    "organizations",
    metadata,
    Column("organization_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("legal_name", Text),
    Column("legal_document", Text),
    Column("created_at", _moment),
    Column("updated_at", _moment),
)

ledgers = Table(
    "ledgers",
    metadata,
    Column("ledger_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("organization_id", Uuid),
    Column("name", Text),
    Column("created_at", _moment),
    Column("updated_at", _moment),
)

portfolios = Table(
    "portfolios",
    metadata,
    Column("portfolio_id", Uuid, primary_key=True),
    Column("client_id", Uuid),
    Column("organization_id", Uuid),
    Column("ledger_id", Uuid),
    Column("name", Text),
    Column("entity_id", Text),
    Column("status_code", Text),
    Column("status_description", Text),
    Column("metadata", JSONB),
    Column("revision", BigInteger),
    Column("created_at", _moment),
    Column("updated_at", _moment),
    Column("deleted_at", _moment),
)
