"""The page's HTML is made once for each address, and is the same as if it were made for every visitor."""

from __future__ import annotations

import gzip
import http.client
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from demo.server import frontpage
from demo.server.frontpage import ADDRESSES, NAMES, FrontPage
from demo.server.gate import Refused


class App:
    """Says under which address it was asked, and counts how often it had to."""

    def __init__(self) -> None:
        self.asked, self.status = 0, 200
        inner = Starlette(routes=[Route("/", self.answer), Route("/other", self.answer)])
        self.client = TestClient(FrontPage(inner))

    def answer(self, request: Request) -> PlainTextResponse:
        self.asked += 1
        forwarded = request.headers.get("x-forwarded-host", "")
        return PlainTextResponse(f"{request.url.netloc} {forwarded} {request.query_params}", self.status)


@pytest.fixture
def app() -> App:
    return App()


def test_it_is_made_once_whatever_the_link_says(app: App) -> None:
    first = app.client.get("/")
    assert app.client.get("/?tab=text&text=hello").content == first.content == b"testserver  "
    assert app.asked == 1


@pytest.mark.parametrize("name", ["host", "x-forwarded-host", "x-forwarded-proto", "x-gradio-server"])
def test_another_address_gets_its_own(app: App, name: str) -> None:
    app.client.get("/")
    other = app.client.get("/", headers={name: "example.org"})
    assert app.asked == 2
    assert ("example.org" in other.text) == name.endswith("host")
    assert app.client.get("/").text == "testserver  "


def test_made_up_addresses_take_no_more_memory(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontpage, "NAMES", 10**6)
    for i in range(3 * ADDRESSES):
        app.client.get("/", headers={"host": f"{i}.example.org"})
    kept = app.client.app.kept  # type: ignore[attr-defined]
    assert len(kept) == ADDRESSES
    assert app.client.get("/").text == "testserver  "


def test_whoever_makes_up_addresses_is_refused_and_the_others_are_not(app: App) -> None:
    app.client.get("/")
    for i in range(NAMES - 1):
        app.client.get("/", headers={"host": f"{i}.example.org"})
    with pytest.raises(Refused, match="busy"):
        app.client.get("/", headers={"host": "one-more.example.org"})
    assert app.client.get("/").text == "testserver  "


@pytest.mark.parametrize("query", ["deep_link=a", "all_endpoints=True"])
def test_gradios_own_queries_are_gradios(app: App, query: str) -> None:
    app.client.get("/")
    app.client.get(f"/?{query}")
    assert app.asked == 2


def test_nothing_else_is_kept(app: App) -> None:
    for _ in range(2):
        app.client.get("/other")
        app.client.head("/")
    assert app.asked == 4


def test_a_failure_is_not_kept(app: App) -> None:
    app.status = 500
    assert app.client.get("/").status_code == 500
    app.status = 200
    assert app.client.get("/").status_code == 200


def test_who_cannot_unpack_it_gets_it_as_it_is(server: str) -> None:
    def get(encoding: str) -> tuple[http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=20)
        connection.request("GET", "/", headers={"Accept-Encoding": encoding})
        answer = connection.getresponse()
        body = answer.read()
        assert int(answer.headers["content-length"]) == len(body)
        connection.close()
        return answer.headers, body

    (packed, small), (plain, whole) = get("gzip, br"), get("identity")
    assert (packed["content-encoding"], plain["content-encoding"]) == ("gzip", None)
    assert len(small) < len(whole) / 4
    assert gzip.decompress(small) == whole
    assert packed["vary"] == plain["vary"] == "Accept-Encoding"
    assert server.rstrip("/").encode() in whole
