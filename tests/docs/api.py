"""The OpenAPI documents as files, one for each service: `python -m tests.docs.api` writes them to docs/api."""

import json
from pathlib import Path
from typing import Any

from deploy.local.services import service_names
from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness
from tests.services import built

DOCUMENTS = Path(__file__).parents[2] / "docs" / "api"


def document_of(name: str) -> dict[str, Any]:
    """The document of the service `name`, as it serves it itself."""
    service = built(name)
    app = create_app(title=name, version="1", routers=service.served, liveness=Liveness(), readiness=Readiness())
    return app.openapi()


def document_text(name: str) -> str:
    """The document as its file holds it."""
    return json.dumps(document_of(name), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def path_of(name: str) -> Path:
    """The file of a service's document."""
    return DOCUMENTS / f"{name}.json"


if __name__ == "__main__":
    DOCUMENTS.mkdir(exist_ok=True)
    for each in service_names():
        path_of(each).write_text(document_text(each), encoding="utf-8")
