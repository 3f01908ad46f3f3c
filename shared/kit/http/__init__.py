"""HTTP conventions, the same for every service: problems, request ids, limits, bodies, health."""

from .app import create_app
from .bodies import BodyPart, DecimalText, RequestBody
from .connection import BoundedConnection
from .headers import ExpectedRevision, cause_of, etag_of, request_id_of, revision_in
from .health import health_routes
from .idempotency import Creation, creating
from .problems import ProblemResponse
from .refused import refuses
from .server import Server
from .spans import Span, span_asked

__all__ = [
    "BodyPart",
    "BoundedConnection",
    "Creation",
    "DecimalText",
    "ExpectedRevision",
    "ProblemResponse",
    "RequestBody",
    "Server",
    "Span",
    "cause_of",
    "create_app",
    "creating",
    "etag_of",
    "health_routes",
    "refuses",
    "request_id_of",
    "revision_in",
    "span_asked",
]
