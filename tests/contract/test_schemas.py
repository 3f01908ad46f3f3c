"""The schema files are the released contract: classes may add to it, and the files say what the classes say."""

import json
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import MESSAGES
from shared.contracts.export import SAMPLES, SCHEMAS, schema_of, schema_text, write_schemas

from .additions import breaking_changes
from .baselines import REPOSITORY, agreed_commits, files_at, text_at
from .validators import by_draft_2020

STALE = "run python -m shared.contracts.export"


def _released(name: str) -> dict[str, Any]:
    path = SCHEMAS / f"{name}.json"
    assert path.exists(), STALE
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _fields(schema: Any) -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(schema, dict):
        found = list(schema.get("properties", {}).items())
        found += [field for piece in schema.values() for field in _fields(piece)]
    return found


def test_no_released_message_was_removed() -> None:
    assert {path.stem for path in SCHEMAS.glob("*.json")} <= set(MESSAGES), "a released message is gone: that is v2"


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_message_only_adds_to_what_was_released(name: str) -> None:
    assert breaking_changes(_released(name), schema_of(MESSAGES[name])) == []


def test_the_messages_only_add_to_what_was_committed_however_often_the_files_are_written() -> None:
    folder = SCHEMAS.relative_to(REPOSITORY).as_posix()
    found = {
        f"{Path(path).stem} of {commit[:8]}": _since(json.loads(text_at(commit, path) or "{}"), Path(path).stem)
        for commit in agreed_commits()
        for path in files_at(commit, folder)
    }
    assert {name: changes for name, changes in found.items() if changes} == {}


def _since(old: dict[str, Any], name: str) -> list[str]:
    return breaking_changes(old, schema_of(MESSAGES[name])) if name in MESSAGES else ["was removed"]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_schema_file_says_what_the_class_says(name: str) -> None:
    assert _released(name) == schema_of(MESSAGES[name]), STALE


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_schema_file_is_valid_and_its_sample_fits(name: str) -> None:
    schema = _released(name)
    sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))

    by_draft_2020(schema).validate(sample["body"])


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_field_is_described(name: str) -> None:
    assert [field for field, schema in _fields(schema_of(MESSAGES[name])) if not schema.get("description")] == []


def _unbounded(schema: dict[str, Any], at: str = "body") -> list[str]:
    found = []
    if schema.get("type") == "string" and not {"maxLength", "format", "enum", "const", "pattern"} & schema.keys():
        found.append(at)
    if schema.get("type") == "array" and "maxItems" not in schema:
        found.append(at)
    if schema.get("type") == "integer" and "maximum" not in schema:
        found.append(at)
    for name, piece in (*schema.get("properties", {}).items(), *schema.get("$defs", {}).items()):
        found += _unbounded(piece, f"{at}.{name}")
    for piece in (*schema.get("anyOf", ()), *([schema["items"]] if "items" in schema else ())):
        found += _unbounded(piece, at)
    return found


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_every_text_list_and_number_is_bounded(name: str) -> None:
    assert _unbounded(schema_of(MESSAGES[name])) == []


def test_the_export_writes_what_is_on_disk(tmp_path: Path) -> None:
    write_schemas(tmp_path)

    written = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert written == {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.iterdir()}, STALE
    assert written == {f"{name}.json": schema_text(message) for name, message in MESSAGES.items()}
