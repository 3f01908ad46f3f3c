"""The application of a service's HTTP side, put together from its routers."""

from collections.abc import Collection, Sequence
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter, Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request

from shared.kit.allowances import Allowances
from shared.kit.auth import Verifier
from shared.kit.liveness import Liveness, Readiness
from shared.kit.metrics import Metrics
from shared.kit.refusals import Refused
from shared.kit.tracing import Tracer

from .frame import RequestFrame
from .headers import accepts_json
from .health import health_routes
from .idempotency import Replay, answer_with_replay
from .intake import RequestIntake
from .metrics import Traffic, metrics_routes
from .openapi import DocumentedApp
from .pages import document_routes
from .problems import answer_with_problem, methods_of_plain_paths

BODY_LIMIT: Final = 1024 * 1024


def create_app(
    *,
    title: str,
    version: str,
    routers: Sequence[APIRouter],
    liveness: Liveness,
    readiness: Readiness,
    verifier: Verifier | None = None,
    allowances: Allowances | None = None,
    metrics: Metrics | None = None,
    tracer: Tracer | None = None,
    form_paths: Collection[str] = ("/auth/token",),
    body_limit: int = BODY_LIMIT,
    body_seconds: float = 30.0,
) -> FastAPI:
    """Make the application: `routers`, the health routes, the metrics and the documents, under the common rules.

    `verifier` is needed as soon as a route asks for a scope (`auth.requires`); `allowances` bound how often each client
    may ask, and a `tracer` records what they ask, if they are given. Bodies are JSON, except for forms at
    `form_paths`; they may have `body_limit` bytes and take `body_seconds` to arrive.
    """
    metrics, traffic = metrics or Metrics(), Traffic()
    metrics.add(traffic)
    app = DocumentedApp(
        title=title,
        version=version,
        # FastAPI's own pages load scripts from elsewhere, and none of its routes is named in the log: see `pages`.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        # A redirect to the same path with a slash would lose the body's method in some clients: 404 says more.
        redirect_slashes=False,
        # Its own traces would tell what was wrong with a body, values included; ours are the frame's.
        telemetry={
            "tracing": False,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
        middleware=[
            Middleware(RequestFrame, traffic=traffic, tracer=tracer),
            Middleware(RequestIntake, body_limit=body_limit, body_seconds=body_seconds, form_paths=form_paths),
        ],
        exception_handlers={
            Replay: answer_with_replay,
            **dict.fromkeys((Refused, RequestValidationError, HTTPException), answer_with_problem),
        },
    )
    app.state.verifier = verifier
    app.state.allowances = allowances
    served = [*routers, health_routes(liveness, readiness)]
    app.state.methods_of_plain_paths = _methods_of_plain_paths(served)
    for router in served:
        app.include_router(router, dependencies=[Depends(_has_the_method), Depends(accepts_json)])
    app.include_router(document_routes())
    app.include_router(metrics_routes(metrics))
    return app


def _methods_of_plain_paths(routers: Sequence[APIRouter]) -> dict[str, frozenset[str]]:
    methods: dict[str, frozenset[str]] = {}
    for route in (route for router in routers for route in router.routes if isinstance(route, APIRoute)):
        if "{" not in route.path:
            methods[route.path] = methods.get(route.path, frozenset()) | frozenset(route.methods or ())
    return methods


async def _has_the_method(request: Request) -> None:
    # `DELETE /things/types` is not the deletion of a thing named types.
    methods = methods_of_plain_paths(request.scope).get(request.url.path)
    if methods is not None and request.method not in methods:
        raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
