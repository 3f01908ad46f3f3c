"""Where the command line finds the system."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.local.services import REPOSITORY
from services.ops_console.app import build
from services.ops_console.settings import settings_of, settings_to_serve

STACK = {
    "kafka": "127.0.0.1:9092",
    "services": {
        name: f"http://127.0.0.1:{port}"
        for port, name in enumerate(("config_service", "order_service", "webhook_dispatcher"), 8001)
    },
    "clients": [{"client_id": "one", "client_secret": "its secret"}, {"client_id": "two", "client_secret": "other"}],
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a stack, and an environment without settings."""
    monkeypatch.chdir(tmp_path)
    for name in ("KAFKA", "CLIENT_ID", "CLIENT_SECRET", "CONFIG_SERVICE_URL"):
        monkeypatch.delenv(f"PORTFOLIO_BUS_{name}", raising=False)
    return tmp_path


def typed(*arguments: str, **environment: Any) -> Result:
    return CliRunner().invoke(build(), list(arguments), env=environment)


def test_the_file_of_make_up_is_found_where_it_is_written(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_BUS_KAFKA", "elsewhere:1")
    (elsewhere / ".local").mkdir()
    (elsewhere / ".local" / "stack.json").write_text(json.dumps(STACK))
    found = settings_of(None)
    assert (found.kafka, found.urls, found.client_id) == (STACK["kafka"], STACK["services"], "one")
    assert "its secret" not in repr(found)


def test_without_it_the_environment_says_where_everything_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTFOLIO_BUS_KAFKA", "broker-1:9092,broker-2:9092")
    monkeypatch.setenv("PORTFOLIO_BUS_CONFIG_SERVICE_URL", "https://config.example.com/")
    found = settings_of(None)
    assert (found.kafka, found.urls) == (
        "broker-1:9092,broker-2:9092",
        {"config_service": "https://config.example.com"},
    )


def test_a_command_misses_what_it_needs_in_one_sentence() -> None:
    ran = typed("topics")
    assert (ran.exit_code, ran.stderr) == (1, "PORTFOLIO_BUS_KAFKA is not set, and there is no file of `make up`.\n")
    ran = typed("outbox", PORTFOLIO_BUS_CLIENT_ID="one")
    assert (ran.exit_code, "PORTFOLIO_BUS_CLIENT_SECRET is not set" in ran.stderr) == (1, True)


def test_a_file_that_is_none_is_named_without_its_content(elsewhere: Path) -> None:
    (elsewhere / "other.json").write_text('{"kafka": "a secret place"}')
    ran = typed("--stack-file", "other.json", "topics")
    assert ran.exit_code == 1
    assert "other.json cannot be read" in str(ran.exception)
    assert "secret place" not in f"{ran.exception}{ran.output}"


def test_a_broker_that_is_away_is_one_sentence() -> None:
    for command in (["topics"], ["lag"], ["parked", "list"], ["tail"]):
        ran = typed(*command, PORTFOLIO_BUS_KAFKA="127.0.0.1:1")
        assert (ran.exit_code, ran.output.count("\n")) == (1, 1), ran.output
        assert ran.stderr.startswith("Kafka at 127.0.0.1:1 does not do what it is asked")


def test_a_service_that_is_away_is_one_sentence() -> None:
    ran = typed(
        "outbox",
        PORTFOLIO_BUS_CLIENT_ID="one",
        PORTFOLIO_BUS_CLIENT_SECRET="secret",
        PORTFOLIO_BUS_CONFIG_SERVICE_URL="http://127.0.0.1:1",
    )
    assert (ran.exit_code, ran.stderr.count("\n")) == (1, 1)
    assert ran.stderr.startswith("config_service does not answer at http://127.0.0.1:1")


def test_wrong_usage_is_2_and_says_what_is_wrong() -> None:
    for arguments in (["parked", "redrive"], ["parked", "redrive", "a.group", "--all"], ["tail", "--topic", "x"]):
        ran = typed(*arguments, PORTFOLIO_BUS_KAFKA="127.0.0.1:1")
        assert ran.exit_code == 2, ran.output


def test_shells_are_told_how_to_complete() -> None:
    script = CliRunner().invoke(build(), [], env={"_PORTFOLIO_BUS_COMPLETE": "source_bash"}, prog_name="portfolio-bus")
    assert (script.exit_code, "complete" in script.output) == (0, True)
    words = {"_PORTFOLIO_BUS_COMPLETE": "complete_bash", "COMP_WORDS": "portfolio-bus send Cre", "COMP_CWORD": "2"}
    completed = CliRunner().invoke(build(), [], env=words, prog_name="portfolio-bus")
    assert completed.output.split() == ["CreateConfiguration", "CreatePortfolio"]


def test_no_command_but_serve_waits_for_the_pages_to_be_imported() -> None:
    program = "import sys; from services.ops_console.app import build; build(); print('nicegui' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"


def test_the_pages_are_not_served_without_a_token_to_sign_in_with() -> None:
    ran = typed("serve", PORTFOLIO_BUS_KAFKA="127.0.0.1:1")
    assert "PORTFOLIO_BUS_CONSOLE_TOKEN is not set" in str(ran.exception)
    ran = typed("serve", PORTFOLIO_BUS_KAFKA="127.0.0.1:1", PORTFOLIO_BUS_CONSOLE_TOKEN="too short")
    assert "PORTFOLIO_BUS_CONSOLE_TOKEN is malformed" in str(ran.exception)
    assert "too short" not in str(ran.exception)


def test_a_server_takes_the_environment_before_a_file_that_happens_to_lie_there(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".local").mkdir()
    (elsewhere / ".local" / "stack.json").write_text(json.dumps(STACK))
    assert settings_to_serve(None).kafka == STACK["kafka"]
    monkeypatch.setenv("PORTFOLIO_BUS_KAFKA", "elsewhere:1")
    assert settings_to_serve(None).kafka == "elsewhere:1"


def test_an_openid_provider_is_named_whole_or_not_at_all() -> None:
    ran = typed("serve", PORTFOLIO_BUS_KAFKA="127.0.0.1:1", PORTFOLIO_BUS_CONSOLE_OIDC_ISSUER="https://id.example.com")
    assert "PORTFOLIO_BUS_CONSOLE_URL and PORTFOLIO_BUS_CONSOLE_OIDC_ISSUER" in str(ran.exception)
    assert "are set together" in str(ran.exception)
