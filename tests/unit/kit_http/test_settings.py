"""The environment decides, and what is wrong with it is said in one sentence without any secret in it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.kit.secrets import new_sealing_key
from shared.kit.settings import KitSettings, SealingSettings, async_url, settings_or_exit

GOOD = {
    "DATABASE_URL": "postgresql://user:hunter2@db:5432/orders",
    "KAFKA": "one:9092,two:9092",
    "ISSUER_URL": "http://config:8000/",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(f"PORTFOLIO_BUS_{name}", value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
def test_what_is_set_is_read_and_the_rest_has_defaults() -> None:
    settings = settings_or_exit(KitSettings)
    assert settings.kafka == "one:9092,two:9092"
    assert settings.issuer_url == "http://config:8000"
    assert settings.async_database_url == "postgresql+asyncpg://user:hunter2@db:5432/orders"
    assert (settings.partitions, settings.replication, settings.without) == (12, 1, frozenset())


def test_a_setting_may_be_a_file_and_the_environment_goes_before(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.delenv("PORTFOLIO_BUS_DATABASE_URL")
    environment.setenv("PORTFOLIO_BUS_SECRETS_DIR", str(tmp_path))
    (tmp_path / "portfolio_bus_database_url").write_text("postgresql://user:from-a-file@db:5432/orders\n")
    (tmp_path / "portfolio_bus_kafka").write_text("other:9092")
    settings = settings_or_exit(KitSettings)
    assert settings.async_database_url == "postgresql+asyncpg://user:from-a-file@db:5432/orders"
    assert settings.kafka == "one:9092,two:9092"


@pytest.mark.usefixtures("environment")
def test_a_folder_of_secrets_that_is_not_there_ends_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PORTFOLIO_BUS_SECRETS_DIR", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="PORTFOLIO_BUS_SECRETS_DIR names no folder that is there"):
        settings_or_exit(KitSettings)


def test_names_are_parted_by_commas(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("PORTFOLIO_BUS_WITHOUT", "relay, delivery,,")
    environment.setenv("PORTFOLIO_BUS_LOG_LEVEL", "debug")
    settings = settings_or_exit(KitSettings)
    assert settings.without == {"relay", "delivery"}
    assert settings.log_level == "DEBUG"


@pytest.mark.usefixtures("environment")
def test_secrets_do_not_show_and_settings_do_not_change() -> None:
    settings = settings_or_exit(KitSettings)
    assert "hunter2" not in repr(settings)
    with pytest.raises(ValidationError):
        settings.kafka = "other:9092"  # type: ignore[misc]


def test_what_is_missing_is_named(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("PORTFOLIO_BUS_KAFKA")
    environment.delenv("PORTFOLIO_BUS_DATABASE_URL")
    with pytest.raises(SystemExit) as ended:
        settings_or_exit(KitSettings)
    expected = "PORTFOLIO_BUS_DATABASE_URL is not set; PORTFOLIO_BUS_KAFKA is not set"
    assert ended.value.code == f"The settings are not complete: {expected}."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hunter2@db/orders"),
        ("DATABASE_URL", "hunter2"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:5432"),
        ("DATABASE_URL", "postgresql://user:hunter2@db:port/orders"),
        ("DATABASE_URL", ""),
        ("KAFKA", "hunter2"),
        ("KAFKA", ""),
        ("ISSUER_URL", "hunter2"),
        ("HTTP_PORT", "hunter2"),
        ("PARTITIONS", "0"),
        ("SHUTDOWN_GRACE", "nan"),
        ("LOG_LEVEL", "hunter2"),
        ("TOPIC_PREFIX", "hunter2 "),
        ("TRACES_URL", "http://user:hunter2@collector:4318/v1/traces"),
        ("TRACES_URL", "http://collector:4318/v1/traces?key=hunter2"),
        ("TRACES_URL", "collector:4318"),
        ("TRACES_RATIO", "1.01"),
        ("SECRET_KEYS", "hunter2"),
        ("SECRET_KEYS", ","),
    ],
)
def test_what_is_malformed_is_named_and_never_shown(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv("PORTFOLIO_BUS_SECRET_KEYS", new_sealing_key())
    environment.setenv(f"PORTFOLIO_BUS_{name}", value)
    with pytest.raises(SystemExit) as ended:
        settings_or_exit(SealingSettings)
    assert str(ended.value.code).startswith(f"The settings are not complete: PORTFOLIO_BUS_{name} is malformed")
    assert "hunter2" not in str(ended.value.code)
    assert "\n" not in str(ended.value.code)


def test_the_keys_are_given_one_by_one(environment: pytest.MonkeyPatch) -> None:
    keys = new_sealing_key(), new_sealing_key()
    environment.setenv("PORTFOLIO_BUS_SECRET_KEYS", ", ".join(keys))
    assert settings_or_exit(SealingSettings).sealing_keys == keys


def test_libpqs_name_for_encryption_becomes_asyncpgs() -> None:
    assert async_url("postgres://u@h/d?sslmode=require") == "postgresql+asyncpg://u@h/d?ssl=require"
