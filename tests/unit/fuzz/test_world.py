"""How the world is made that is asked everything: by the services' own routes, as patiently as they ask for."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from deploy.local.fuzz.world import WorldError, answered

Answers = list[tuple[int, dict[str, str], bytes]]


@contextmanager
def answering(answers: Answers) -> Iterator[str]:
    """Answers one after the other; tells the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, headers, body = answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("status", [409, 503])
def test_what_is_told_to_come_again_is_asked_again(status: int) -> None:
    later = {"Retry-After": "1"}
    with answering([(status, later, b"{}"), (status, later, b"{}"), (201, {}, b'{"id": "one"}')]) as url:
        assert answered(url, "POST", "/orders", "{}", {}) == {"id": "one"}


def test_a_refusal_is_final() -> None:
    answers: Answers = [(409, {}, b"taken"), (201, {}, b"{}")]
    with answering(answers) as url, pytest.raises(WorldError, match="POST /orders is answered with 409: taken"):
        answered(url, "POST", "/orders", "{}", {})
    assert len(answers) == 1
