"""``/conversations`` on a real server: each owner sees, names, deletes and takes along what is theirs."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import example, given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from videollm_serve.service.shelf import Shelf
from videollm_serve.store.store import Store
from videollm_serve.store.values import Turn
from videollm_serve.ui.brought import PageFiles
from videollm_serve.ui.conversation_routes import conversation_router
from videollm_serve.web.door import DoorSettings, build_door
from videollm_serve.web.errors import add_error_handlers
from videollm_serve.web.hosts import AllowedHosts
from videollm_serve.web.signing import load_secret

from .serving import serving

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
DISPOSITION = re.compile(
    r"attachment; filename=\"([A-Za-z0-9 ._-]+)\"; filename\*=UTF-8''((?:[A-Za-z0-9._~-]|%[0-9A-F]{2})+)"
)
# Marks that turn the direction of writing.
TURNING = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
HOSTILE = [
    '"><script>alert(1)</script>',
    "a\r\nSet-Cookie: stolen=1\r\n\r\n<h1>",
    "\u202egpj.exe \u2066right to left\u2069",
    '"; filename="evil.exe',
    "../../etc/passwd",
    "C:\\Windows\\system32",
    "100%22 %0d%0a sure",
    "日本の鳥 \U0001f986",
    "\x00\x1b[31m red",
    " . .. ",
    "///",
]


@dataclass(frozen=True)
class Person:
    """Somebody with a cookie, and what the server calls them."""

    client: httpx.Client
    owner: str

    def titles(self) -> list[str]:
        """The titles in their list."""
        return [line["title"] for line in self.client.get("/conversations").json()["conversations"]]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("around") / "data", retention_s=3600) as store:
        yield store


@pytest.fixture(scope="module")
def app(store: Store) -> FastAPI:
    """The routes, and one that tells who asks."""
    app = FastAPI(docs_url=None, redoc_url=None)
    add_error_handlers(app)
    files = PageFiles(store, Shelf(store.conversations))
    app.include_router(conversation_router(store.conversations, files.remove))

    @app.get("/who", include_in_schema=False)
    def who(request: Request) -> Response:
        return JSONResponse(request.state.owner)

    return app


@pytest.fixture(scope="module")
def port(app: FastAPI, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    secret = load_secret(tmp_path_factory.mktemp("secret"))
    with serving(build_door(app, DoorSettings(secret, AllowedHosts.for_binding("127.0.0.1")))) as port:
        yield port


def person(port: int) -> Iterator[Person]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        yield Person(client, client.get("/who").json())


@pytest.fixture
def ann(port: int, caplog: pytest.LogCaptureFixture) -> Iterator[Person]:
    """Somebody new; whatever they try, the server's log holds no fault."""
    yield from person(port)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.fixture
def ben(port: int) -> Iterator[Person]:
    yield from person(port)


@pytest.fixture(scope="module")
def writer(port: int) -> Iterator[Person]:
    """Somebody for whom a property is tried many times."""
    yield from person(port)


def begin(store: Store, somebody: Person, *questions: str) -> str:
    id = store.conversations.create(somebody.owner, "pocket")
    for question in questions:
        store.conversations.append(somebody.owner, id, Turn(question, f"The answer to {question}"))
    return id


def assert_no(answer: httpx.Response, status: int, param: str | None = None) -> None:
    """Checks that an answer says no in one line of JSON, which nobody keeps."""
    assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]
    assert "\n" not in error["message"]
    assert answer.headers["cache-control"] == "no-store"


def test_an_owner_sees_a_list_of_what_is_theirs_the_newest_first(
    ann: Person, ben: Person, store: Store
) -> None:
    assert ann.client.get("/conversations").json() == {"conversations": []}
    first, second = begin(store, ann, "What is it?"), begin(store, ann)
    begin(store, ben, "private")
    store.conversations.append(ann.owner, first, Turn("And then?"))
    answer = ann.client.get("/conversations")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json() == {
        "conversations": [
            {
                "id": line.id,
                "title": line.title,
                "updated_s": line.updated_s,
                "turns": line.turns,
            }
            for line in store.conversations.list(ann.owner)
        ]
    }
    shown = [(line["id"], line["title"], line["turns"]) for line in answer.json()["conversations"]]
    assert shown == [(first, "What is it?", 2), (second, "", 0)]


def test_a_conversation_is_renamed_and_an_empty_title_gives_back_its_own(ann: Person, store: Store) -> None:
    id = begin(store, ann, "What is it?")
    answer = ann.client.patch(f"/conversations/{id}", json={"title": "  Birds\nin\tspring "})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert [answer.json()] == ann.client.get("/conversations").json()["conversations"]
    assert ann.titles() == ["Birds in spring"]
    assert ann.client.patch(f"/conversations/{id}", json={"title": ""}).json()["title"] == "What is it?"


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_title_is_text_and_changes_nothing_else(ann: Person, store: Store, title: str) -> None:
    id = begin(store, ann, "What is it?")
    renamed = ann.client.patch(f"/conversations/{id}", json={"title": title})
    assert renamed.headers["content-type"] == "application/json"
    assert renamed.json()["title"] == " ".join(title.split())
    assert ann.titles() == [" ".join(title.split())]
    for format, suffix in (("markdown", ".md"), ("json", ".json")):
        answer = ann.client.get(f"/conversations/{id}/export", params={"format": format})
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert "<script" not in answer.text
        found = DISPOSITION.fullmatch(answer.headers["content-disposition"])
        assert found is not None
        assert all(name.endswith(suffix) for name in found.groups())


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120) | st.sampled_from(HOSTILE))
@example("\U0001f986" * 80)
@example("\U0001f986" * 49 + " . " + "\U0001f986" * 9)  # cut behind the point
@example("a" * 76 + "....")
@example("...hidden")
@example("ﬁancée／ÅÄÖ")
def test_the_name_of_an_export_is_one_that_every_file_system_takes(
    writer: Person, store: Store, title: str
) -> None:
    store.conversations.delete_all(writer.owner)
    id = begin(store, writer)
    shown = writer.client.patch(f"/conversations/{id}", json={"title": title}).json()
    answer = writer.client.get(f"/conversations/{id}/export?format=json")
    assert answer.json()["title"] == shown["title"]
    found = DISPOSITION.fullmatch(answer.headers["content-disposition"])
    assert found is not None
    for name in (found[1], unquote(found[2], errors="strict")):
        assert name.endswith(".json")
        stem = name.removesuffix(".json")
        assert stem
        assert stem == stem.strip(" .")
        assert len(name.encode()) <= 255
        assert not re.search(rf'[\x00-\x1f\x7f"*/:<>?\\|{TURNING}]', name)


def test_an_export_is_named_after_the_title_in_letters_of_all_scripts(ann: Person, store: Store) -> None:
    id = begin(store, ann, "Where is Zoë's 鳥?")
    given_names = ann.client.get(f"/conversations/{id}/export").headers["content-disposition"]
    assert given_names == (
        "attachment; filename=\"Where is Zoe s.md\"; filename*=UTF-8''Where%20is%20Zo%C3%AB%27s%20%E9%B3%A5.md"
    )
    nameless = ann.client.get(f"/conversations/{begin(store, ann)}/export").headers["content-disposition"]
    assert nameless == "attachment; filename=\"conversation.md\"; filename*=UTF-8''conversation.md"


def test_an_export_holds_the_conversation_in_the_format_that_was_asked_for(ann: Person, store: Store) -> None:
    id = begin(store, ann, "Who is *that*?")
    markdown = ann.client.get(f"/conversations/{id}/export")
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert markdown.text.startswith("# Who is \\*that\\*?\n")
    assert ann.client.get(f"/conversations/{id}/export?format=markdown").text == markdown.text
    exported = ann.client.get(f"/conversations/{id}/export?format=json")
    assert exported.headers["content-type"] == "application/json"
    assert [turn["question"] for turn in exported.json()["turns"]] == ["Who is *that*?"]
    for answer in (markdown, exported):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
    for format in ("html", "", "Markdown"):
        assert_no(ann.client.get(f"/conversations/{id}/export", params={"format": format}), 422, "format")


def test_a_conversation_is_deleted_and_the_others_stay(ann: Person, store: Store) -> None:
    first, second = begin(store, ann, "one"), begin(store, ann, "two")
    answer = ann.client.delete(f"/conversations/{first}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["cache-control"] == "no-store"
    assert_no(ann.client.delete(f"/conversations/{first}"), 404)
    assert ann.titles() == ["two"]
    assert ann.client.get(f"/conversations/{second}/export").status_code == 200


def test_the_files_that_only_it_is_about_go_with_a_conversation(ann: Person, store: Store) -> None:
    def bring(name: str) -> str:
        (arrived := store.uploads.incoming / "arriving").write_bytes(b"x")
        return store.uploads.add(ann.owner, name, "video/mp4", "video", 1, "0" * 64, arrived).id

    first, second = begin(store, ann, "One?"), begin(store, ann, "Two?")
    own, shared, unused = bring("own.mp4"), bring("shared.mp4"), bring("unused.mp4")
    for conversation, upload in ((first, own), (first, shared), (second, shared)):
        store.conversations.add_medium(ann.owner, conversation, upload, {})
    assert ann.client.delete(f"/conversations/{first}").status_code == 204
    assert {upload.id for upload in store.uploads.list(ann.owner)} == {shared, unused}
    assert ann.client.delete("/conversations").json() == {"deleted": 1}
    assert {upload.id for upload in store.uploads.list(ann.owner)} == {unused}


def test_all_conversations_of_an_owner_are_deleted_at_once_and_nobody_elses(
    ann: Person, ben: Person, store: Store
) -> None:
    for question in ("one", "two", "three"):
        begin(store, ann, question)
    begin(store, ben, "mine")
    assert ann.client.delete("/conversations").json() == {"deleted": 3}
    assert ann.titles() == []
    assert ann.client.delete("/conversations").json() == {"deleted": 0}
    assert ben.titles() == ["mine"]


def test_another_owners_conversation_is_as_unknown_as_one_that_never_was(
    ann: Person, ben: Person, port: int, store: Store
) -> None:
    id = begin(store, ann, "private")
    before = store.conversations.get(ann.owner, id)
    told = set()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as newcomer:
        for client in (ben.client, newcomer):
            for unknown in (id, "made-up", "%27%20OR%201=1%20--", "x%F0%9F%A6%86", "%FF%C0"):
                path = f"/conversations/{unknown}"
                for answer in (
                    client.patch(path, json={"title": "mine"}),
                    client.delete(path),
                    client.get(f"{path}/export"),
                    client.get(f"{path}/export?format=json"),
                ):
                    assert_no(answer, 404)
                    told.add(answer.text)
            assert client.get("/conversations").json() == {"conversations": []}
            assert client.delete("/conversations").json() == {"deleted": 0}
    assert len(told) == 1
    assert store.conversations.get(ann.owner, id) == before


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"title"',
        b"{}",
        b"{title: x}",
        b'{"title": null}',
        b'{"title": 5}',
        b'{"title": ["x"]}',
        b'{"title": {"title": "x"}}',
        b'{"title": "\\ud83e"}',
        b'{"title": "\xff"}',
        b'{"title": "' + b"x" * 501 + b'"}',
        b"[" * 100_000,
        b"9" * 5000,
    ],
)
def test_what_is_no_title_is_refused_and_the_old_one_stays(ann: Person, store: Store, body: bytes) -> None:
    id = begin(store, ann, "What is it?")
    headers = {"Content-Type": "application/json"}
    assert_no(ann.client.patch(f"/conversations/{id}", content=body, headers=headers), 422, "title")
    assert ann.titles() == ["What is it?"]


def test_a_title_of_five_hundred_characters_is_taken_and_shortened(ann: Person, store: Store) -> None:
    id = begin(store, ann, "What is it?")
    answer = ann.client.patch(f"/conversations/{id}", json={"title": "\U0001f986" * 500})
    assert answer.status_code == 200
    assert answer.json()["title"] == "\U0001f986" * 79 + "…"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"User-Agent": FIREFOX},
    ],
)
def test_another_site_cannot_rename_or_delete_even_with_the_owners_cookie(
    ann: Person, store: Store, headers: dict[str, str]
) -> None:
    id = begin(store, ann, "What is it?")
    before = store.conversations.get(ann.owner, id)
    body = json.dumps({"title": "taken over"}).encode()
    for answer in (
        ann.client.patch(f"/conversations/{id}", content=body, headers=headers),
        ann.client.delete(f"/conversations/{id}", headers=headers),
        ann.client.delete("/conversations", headers=headers),
    ):
        assert answer.status_code == 403
        assert "other sites" in answer.text
    assert store.conversations.get(ann.owner, id) == before
    own = {"Origin": str(ann.client.base_url).rstrip("/"), "User-Agent": FIREFOX}
    assert ann.client.patch(f"/conversations/{id}", content=body, headers=own).status_code == 200
    assert ann.client.delete("/conversations", headers=own).json() == {"deleted": 1}


def test_another_site_cannot_read_a_list_or_an_export(ann: Person, store: Store) -> None:
    id = begin(store, ann, "private")
    for headers in (
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    ):
        for path in ("/conversations", f"/conversations/{id}/export?format=json"):
            answer = ann.client.get(path, headers=headers)
            assert answer.status_code == 403
            assert "private" not in answer.text


def test_the_routes_are_not_part_of_the_api_that_programs_are_told_of(app: FastAPI) -> None:
    assert app.openapi()["paths"] == {}
