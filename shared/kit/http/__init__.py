"""HTTP conventions, the same for every service: problems, request ids, limits, bodies, health."""

from .app import create_app
from .bodies import BodyPart, DecimalText, RequestBody
from .headers import cause_of, etag_of, request_id_of, revision_in
from .health import health_routes
from .problems import ProblemResponse

__all__ = [
    "BodyPart",
    "DecimalText",
    "ProblemResponse",
    "RequestBody",
    "cause_of",
    "create_app",
    "etag_of",
    "health_routes",
    "request_id_of",
    "revision_in",
]
