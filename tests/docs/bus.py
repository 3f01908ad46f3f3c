"""Writes what is made from the catalogue of the bus: `python -m tests.docs.bus`.

That is the AsyncAPI document and the page; `python -m shared.contracts.export` writes the JSON Schemas.
"""

from .asyncapi import DOCUMENT, document, document_text
from .bus_page import PAGE, page


def write_bus() -> None:
    """Write both files."""
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document_text(), encoding="utf-8")
    PAGE.write_text(page(document()), encoding="utf-8")


if __name__ == "__main__":
    write_bus()
