"""An open page is its owner's: who names another's is refused, in whatever way the page is named."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from videollm_serve.ui.page_owners import PageOwners


class OwnerByHeader:
    """Stands for the door: the owner is whoever a header says."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"] = {"owner": Request(scope).headers["owner"]}
        await self.app(scope, receive, send)


async def say_again(request: Request) -> Response:
    return PlainTextResponse(await request.body() or b"nothing")


def client(**options: int) -> TestClient:
    app = Starlette(routes=[Route("/{path:path}", say_again, methods=["GET", "POST"])])
    return TestClient(OwnerByHeader(PageOwners(app, **options)))


JOIN, DATA = "/gradio_api/queue/join", "/gradio_api/queue/data"
WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", JOIN, {"json": {"data": [], "session_hash": "page"}}),
    ("POST", JOIN, {"content": '{"session_hash": "other", "session_hash": "page"}'.encode("utf-16")}),
    ("POST", "/gradio_api/run/predict", {"json": {"session_hash": "page"}}),
    ("GET", DATA, {"params": {"session_hash": "page"}}),
    ("GET", f"{DATA}?session_hash=mine&session_hash=p%61ge", {}),
    ("GET", "/gradio_api/heartbeat/p%61ge", {}),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("first", WAYS[:1] + WAYS[-1:])
def test_whoever_names_a_page_first_owns_it(
    way: tuple[str, str, dict[str, Any]], first: tuple[str, str, dict[str, Any]]
) -> None:
    site = client()
    for (method, path, said), owner, status in ((first, "me", 200), (way, "you", 403), (way, "me", 200)):
        answer = site.request(method, path, headers={"owner": owner}, **said)
        assert answer.status_code == status, (path, owner)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"session_hash": 3}', b"[" * 100_000, b"\xff\xfe\x00"])
def test_what_names_no_page_goes_through_as_it_is(body: bytes) -> None:
    answer = client().post(JOIN, content=body, headers={"owner": "me"})
    assert answer.status_code == 200
    assert answer.content == (body or b"nothing")


def test_only_what_belongs_to_the_framework_is_looked_at() -> None:
    site = client()
    for owner in ("me", "you"):
        said = {"session_hash": "page"}
        assert site.post("/v1/videos", params=said, json=said, headers={"owner": owner}).status_code == 200


def test_pages_that_were_quiet_the_longest_are_forgotten() -> None:
    site = client(most_pages=2)

    def ask(owner: str, page: str) -> int:
        return site.get(DATA, params={"session_hash": page}, headers={"owner": owner}).status_code

    assert [ask("me", page) for page in ("a", "b", "a", "c")] == [200] * 4
    assert [ask("you", "a"), ask("you", "c"), ask("you", "b")] == [403, 403, 200]
