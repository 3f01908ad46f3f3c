"""The document tells what a caller can meet, and its page needs nothing from elsewhere."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from structlog.testing import capture_logs


@pytest.fixture
async def document(ask: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await ask("GET", "/openapi.json")).body
    return found


def problems(document: dict[str, Any], operation: dict[str, Any], status: str) -> set[str]:
    """The names of the refusals that an operation answers a status for."""
    shared = document["components"]["responses"][operation["responses"][status]["$ref"].rpartition("/")[2]]
    return set(shared["content"]["application/problem+json"]["examples"])


async def test_problems_follow_from_what_an_operation_has(document: dict[str, Any]) -> None:
    paths = document["paths"]
    always = {"400", "406", "431", "500", "503"}
    body = {"408", "413", "415"}
    assert paths["/things"]["get"]["responses"].keys() == {"200", *always}
    assert paths["/things"]["post"]["responses"].keys() == {"201", *always, *body}
    assert paths["/things/{thing_id}"]["get"]["responses"].keys() == {"200", "404", *always}
    assert paths["/mine"]["get"]["responses"].keys() == {"200", "401", "403", "429", *always}
    changed = paths["/things/{thing_id}"]["put"]
    assert changed["responses"].keys() == {"200", "404", "412", "422", *always, *body}
    assert problems(document, changed, "422") == {"_TooManyThings"}
    assert "ETag" in changed["responses"]["200"]["headers"]
    assert "Retry-After" in document["components"]["responses"]["Unavailable"]["headers"]


async def test_nothing_of_fastapis_own_errors_is_left(document: dict[str, Any]) -> None:
    assert "HTTPValidationError" not in str(document)
    assert "Problem" in document["components"]["schemas"]
    post = document["paths"]["/things"]["post"]
    assert post["requestBody"]["content"]["application/json"]["schema"]["required"] == ["allocation_id"]


async def test_operations_name_their_scopes_and_the_scheme_names_all(document: dict[str, Any]) -> None:
    assert document["paths"]["/mine"]["get"]["security"] == [{"client_credentials": ["accounts:read"]}]
    flow = document["components"]["securitySchemes"]["client_credentials"]["flows"]["clientCredentials"]
    assert set(flow["scopes"]) == {"accounts:read", "accounts:admin"}


async def test_a_parameter_is_never_null(document: dict[str, Any]) -> None:
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                assert "null" not in str(parameter["schema"])
                assert parameter["schema"].get("default", "") is not None


async def test_what_a_post_has_made_links_to_what_can_be_asked_of_it(document: dict[str, Any]) -> None:
    links = document["paths"]["/things"]["post"]["responses"]["201"]["links"]
    reading = document["paths"]["/things/{thing_id}"]["get"]["operationId"]
    assert links[reading]["parameters"] == {"thing_id": "$response.body#/id"}


async def test_a_word_in_a_path_is_never_taken_for_an_id(ask: Any) -> None:
    assert (await ask("GET", "/things/types")).body == {"data": []}
    for method in ("DELETE", "PUT"):
        reply = await ask(method, "/things/types")
        assert reply.is_problem("method_not_allowed", 405)
        assert reply.headers["allow"] == "GET"


class _Addresses(HTMLParser):
    """Whatever a page loads, and whether anything is written into it that a policy would have to let through."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []
        self._in: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        self.loaded += [value or "" for name, value in attrs if name in {"src", "href"}]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        if self._in in {"script", "style"} and data.strip():
            self.inline.append(data)


async def test_the_page_loads_only_what_is_served_beside_it(ask: Any) -> None:
    async with ask.session.get(f"{ask.base_url}/docs", headers={"Accept": "text/html"}) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        policy = response.headers["Content-Security-Policy"]
        html = await response.text()
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"//|https?:", html), "no address at all"
    page = _Addresses()
    page.feed(html)
    assert page.inline == []
    assert page.loaded
    for path in page.loaded:
        async with ask.session.get(f"{ask.base_url}/{path}") as response:
            assert response.status == 200, path
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert await response.read()


async def test_the_page_asks_no_validator_elsewhere(ask: Any) -> None:
    async with ask.session.get(f"{ask.base_url}/docs/start.js") as response:
        script = await response.text()
    assert 'url: "openapi.json"' in script
    assert "validatorUrl: null" in script


@pytest.mark.parametrize("path", ["/docs/x.js", "/docs/..%2fmain.py", "/docs/__init__.py", "/docs/"])
async def test_nothing_else_is_served_beside_the_page(ask: Any, path: str) -> None:
    assert (await ask("GET", path)).is_problem("not_found", 404)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/docs/start.js"])
async def test_the_log_names_the_documents_routes(ask: Any, path: str) -> None:
    with capture_logs() as lines:
        await ask("GET", path)
    assert [line["route"] for line in lines] == [path]


async def test_free_text_in_requests_is_said_to_hold_no_nul(document: dict[str, Any]) -> None:
    fields = document["paths"]["/things"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    name, amount = (next(each for each in fields[field]["anyOf"] if "type" in each) for field in ("name", "amount"))
    assert not re.search(name["pattern"], "a\0b")
    assert re.search(name["pattern"], "a line\nand another")
    assert amount["pattern"] != name["pattern"], "what has a pattern keeps it"
