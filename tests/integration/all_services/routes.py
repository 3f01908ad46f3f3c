"""Every route of every service, as the documents of the built applications name them."""

from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Any

from deploy.local.services import service_names
from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness
from tests.services import built


@dataclass(frozen=True)
class Route:
    """One operation of one service; `scope` is what it asks of its caller, None where it asks nothing."""

    service: str
    method: str
    path: str
    scope: str | None

    def __str__(self) -> str:
        return f"{self.service} {self.method} {self.path}"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of its path."""
        return tuple(name for _, name, _, _ in Formatter().parse(self.path) if name)


@cache
def all_routes() -> tuple[Route, ...]:
    return tuple(route for name in service_names() for route in _routes_of(name))


def _routes_of(service: str) -> list[Route]:
    app = _application(service)
    found = [
        Route(service, method.upper(), path, _scope_of(operation))
        for path, operations in app.openapi()["paths"].items()
        for method, operation in operations.items()
    ]
    documented = {route.path for route in found}
    # What the document leaves out is served all the same.
    hidden = [Route(service, "GET", path, None) for path in _paths(app.routes) if path not in documented]
    return found + hidden


def _application(service: str) -> Any:
    parts = built(service)
    return create_app(
        title=service,
        version="1",
        routers=parts.served,
        liveness=Liveness(),
        readiness=Readiness(),
        verifier=parts.verifier,
    )


def _paths(routes: Any) -> set[str]:
    return {route.path for route in routes if getattr(route, "path", None)}


def _scope_of(operation: dict[str, Any]) -> str | None:
    scopes = [scope for each in operation.get("security", ()) for needed in each.values() for scope in needed]
    assert len(scopes) <= 1, f"a route asks for one scope, not for {scopes}"
    return scopes[0] if scopes else None
