"""Golden samples: what was once sent can still be read, and is still sent in the same form."""

import json
from typing import Any

import pytest

from shared.contracts import MESSAGES, from_record, to_record
from shared.contracts.export import SAMPLES
from shared.contracts.record import Record

Sample = dict[str, Any]


def _sample(name: str) -> Sample:
    sample: Sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return sample


def _record_of(name: str, sample: Sample) -> Record:
    return Record(
        topic=MESSAGES[name].topic.name,
        key=sample["key"].encode(),
        value=json.dumps(sample["body"], separators=(",", ":"), ensure_ascii=False).encode(),
        headers=[(header, value.encode()) for header, value in sample["headers"].items()],
    )


def test_every_message_has_one_sample_and_no_sample_is_left_over() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == set(MESSAGES)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_sample_reads_as_its_message(name: str) -> None:
    envelope, message = from_record(_record_of(name, _sample(name)))

    assert type(message) is MESSAGES[name]
    assert envelope.type == name


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_sample_read_and_sent_again_is_the_same_record(name: str) -> None:
    sample = _sample(name)
    envelope, message = from_record(_record_of(name, sample))

    again = to_record(message, envelope)

    assert again.topic == MESSAGES[name].topic.name
    assert again.key.decode() == sample["key"]
    assert {header: value.decode() for header, value in again.headers} == sample["headers"]
    assert json.loads(again.value) == sample["body"]


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_a_sample_gives_every_field_of_its_message(name: str) -> None:
    assert set(_sample(name)["body"]) == set(MESSAGES[name].model_fields)


@pytest.mark.parametrize("name", sorted(MESSAGES))
def test_the_key_in_a_sample_is_its_key_field(name: str) -> None:
    sample = _sample(name)

    assert sample["body"][MESSAGES[name].key_field] == sample["key"]
