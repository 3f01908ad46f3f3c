"""The page of the bus says what the AsyncAPI document says, which says what the code says."""

import json
import re

from shared.contracts import MESSAGES, TOPICS

from .asyncapi import DOCUMENT, document
from .bus_page import PAGE, page
from .documents import blocks

STALE = "run python -m tests.docs.bus"


def test_the_page_is_the_one_that_the_code_makes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(document()), STALE


def test_the_page_is_made_from_the_document_that_lies_beside_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(DOCUMENT.read_text(encoding="utf-8"))), STALE


def test_every_topic_and_every_message_has_its_heading() -> None:
    headings = re.findall(r"^###? (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {topic.name for topic in TOPICS} <= set(headings)
    assert set(MESSAGES) <= set(headings)
    assert len(headings) == len(set(headings))


def test_every_field_of_every_message_is_in_its_table() -> None:
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
    for name, message in MESSAGES.items():
        told = re.findall(r"^\| `([\w.\[\]]+)` \|", sections[name], re.MULTILINE)
        assert set(message.model_fields) <= set(told), name


def test_every_sample_is_shown_whole() -> None:
    shown = [json.loads(block.text) for block in blocks(PAGE) if block.language == "json"]
    assert sorted(each["headers"]["ce_type"] for each in shown) == sorted(MESSAGES)
