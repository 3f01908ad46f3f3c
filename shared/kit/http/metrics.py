"""The traffic of a process as it is measured, and GET /metrics, where Prometheus fetches everything from."""

from collections.abc import Iterable
from typing import Final

from fastapi import APIRouter
from prometheus_client import Metric
from starlette.responses import Response

from shared.kit.metrics import HTTP_REQUESTS, HTTP_SECONDS, TEXT_TYPE, Metrics

#: A caller may send any word as the method, and each would be a series of its own.
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLASS: Final = 100


class Traffic:
    """Counts and times requests."""

    def __init__(self) -> None:
        self._requests = HTTP_REQUESTS.counter()
        self._seconds = HTTP_SECONDS.histogram()

    def note(self, method: str, route: str, status: int | None, seconds: float) -> None:
        """Count a request; `route` is the template of its path, `status` is None if it was not answered."""
        known = method if method in METHODS else "other"
        self._requests.labels(known, route, "none" if status is None else f"{status // _CLASS}xx").inc()
        self._seconds.labels(known, route).observe(seconds)

    def collect(self) -> Iterable[Metric]:
        """The requests so far."""
        yield from self._requests.collect()
        yield from self._seconds.collect()


def metrics_routes(metrics: Metrics) -> APIRouter:
    """Give the route that Prometheus asks; it takes no token, and stands in no document for clients."""
    router = APIRouter(include_in_schema=False)

    @router.get("/metrics")
    async def tell() -> Response:
        return Response(await metrics.text(), media_type=TEXT_TYPE, headers={"Cache-Control": "no-store"})

    return router
