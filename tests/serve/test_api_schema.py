"""The document of the API is true: a real server is asked what the document allows, and answers as it promises."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import APIOperation, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.types import ASGIApp

from videollm.model.modeling import VideoLLM
from videollm_serve.api.replies import (
    Error,
    Video,
)
from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store

from .serving import serving

KEY = "a-key-that-nobody-can-guess"
PASSWORD = "correct horse battery"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def _our_own_words(context: Any, response: schemathesis.Response, case: schemathesis.Case) -> None:
    """Checks that a refusal names the field that was wrong, and says so in no library's words."""
    error = response.json()["error"] if response.status_code == 400 else None
    if error is None or error["code"] != "invalid":
        return
    assert not re.search("Input|Field|Extra|discriminator|should", error["message"])
    assert (error["param"] is None) == error["message"].startswith("the request: ")


FEW = settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
OPERATIONS = [
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/descriptions"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/{model}"),
    ("POST", "/v1/videos"),
    ("GET", "/v1/videos"),
    ("GET", "/v1/videos/{id}"),
    ("DELETE", "/v1/videos/{id}"),
    ("GET", "/media/{id}"),
    ("HEAD", "/media/{id}"),
    ("GET", "/metrics"),
    ("GET", "/healthz"),
]

InEventLoop = Callable[[Callable[[], ASGIApp]], ASGIApp]


@pytest.fixture(scope="module")
def service(tiny_model: VideoLLM) -> Iterator[ChatService]:
    service = ChatService(tiny_model, "tiny", "It sees nothing.")
    yield service
    service.close(grace_s=0)


@pytest.fixture(scope="module")
def site(
    service: ChatService, in_event_loop: InEventLoop, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Serves a site with some options on a real server, for the length of a block."""

    @contextmanager
    def serve(**options: Any) -> Iterator[str]:
        data = tmp_path_factory.mktemp("data")
        with Store(data, retention_s=3600) as store:
            app = in_event_loop(
                lambda: build_site(Models([service]), store, data, SiteOptions(max_file_mb=1, **options))
            )
            with serving(app, lifespan="auto") as port:
                yield f"http://127.0.0.1:{port}"

    return serve


@pytest.fixture(scope="module")
def address(site: Callable[..., Any]) -> Iterator[str]:
    with site() as address:
        yield address


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    """A visitor whose cookie is known, so that all paths are theirs."""
    with httpx.Client(base_url=address, timeout=60) as client:
        client.get("/healthz")
        yield client


@pytest.fixture(scope="module")
def document(http: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = http.get("/v1/openapi.json").json()
    return found


@pytest.fixture(scope="module")
def video(http: httpx.Client, clips: dict[str, Path]) -> str:
    """The id of a clip that was brought."""
    sent = http.post("/v1/videos?name=one.mp4", content=clips["one.mp4"].read_bytes())
    return str(Video.model_validate(sent.json()).id)


@pytest.fixture(scope="module")
def schema(document: dict[str, Any], address: str, http: httpx.Client) -> schemathesis.BaseSchema:
    schema = schemathesis.openapi.from_dict(document)
    cookie = "; ".join(f"{name}={value}" for name, value in http.cookies.items())
    schema.config.update(base_url=address, headers={"Cookie": cookie})
    return schema


def shortened(case: schemathesis.Case, video: str, number: int) -> None:
    """Turns two of three requests to what is there, so that more than refusals are seen, and keeps answers short."""
    if number % 3 and case.method != "DELETE":
        there = {"id": video, "model": "tiny"}
        case.path_parameters |= {name: there[name] for name in case.path_parameters}
    body: Any = case.body
    if not isinstance(body, dict):
        return
    if "messages" in body:
        body |= {"max_tokens": 2, "max_completion_tokens": 2}
    if "video" in body:
        body |= {"max_tokens": 2}
    if number % 3:
        body |= {"model": "tiny"} | ({"video": video} if "video" in body else {})
    if number % 3 == 2:
        part = {"type": "video_url", "video_url": {"url": video}}
        messages = [{"role": "user", "content": [part, {"type": "text", "text": "What happens?"}]}]
        usual = {"messages": messages, "start_s": None, "end_s": None, "every_s": None, "style": None}
        body |= {name: value for name, value in usual.items() if name in body}


def answers(operation: APIOperation, mode: GenerationMode, video: str) -> Counter[int]:
    """Asks some generated requests, and holds the answers against the document; returns their statuses."""
    seen: Counter[int] = Counter()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        if mode is GenerationMode.POSITIVE:
            shortened(case, video, seen.total())
        seen[case.call_and_validate(checks=[*CHECKS, _our_own_words], timeout=60).status_code] += 1

    ask()
    return seen


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_answer_is_one_that_the_document_promises(
    schema: schemathesis.BaseSchema, video: str, method: str, path: str
) -> None:
    seen = answers(schema[path][method], GenerationMode.POSITIVE, video)
    assert (min(seen) < 300) == (method != "DELETE")  # what it names is not there


@pytest.mark.parametrize(("method", "path"), [one for one in OPERATIONS if one[0] == "POST"])
def test_every_refusal_is_one_that_the_document_promises(
    schema: schemathesis.BaseSchema, video: str, method: str, path: str
) -> None:
    seen = answers(schema[path][method], GenerationMode.NEGATIVE, video)
    assert max(seen) >= 400


def test_the_document_names_all_there_is(document: dict[str, Any]) -> None:
    named = [(method.upper(), path) for path, found in document["paths"].items() for method in found]
    assert sorted(named) == sorted(OPERATIONS)


def test_other_methods_and_paths_are_refused_in_openais_shape(http: httpx.Client) -> None:
    refused = http.put("/v1/videos")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, POST")
    assert "PUT" in Error.model_validate(refused.json()).error.message
    assert http.delete("/v1/videos/some").status_code == 404
    assert http.patch("/v1/videos/some").headers["Allow"] == "DELETE, GET"
    for path in ("/v1", "/v1/", "/v1/embeddings", "/v1/videos/some/more"):
        refused = http.post(path, json={})
        assert refused.status_code == 404
        assert Error.model_validate(refused.json()).error.code == "not_found"


def test_the_page_of_the_document_shows_all_and_loads_nothing(http: httpx.Client) -> None:
    page = http.get("/v1/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for method, path in OPERATIONS:
        assert f"{method} {path}" in page.text
    assert "<script" not in page.text
    assert "://" not in page.text.replace("http(s)", "")


def test_what_the_document_says_of_keys_is_so(site: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(KEY)
    with site(api_keys=tmp_path / "keys") as address, httpx.Client(base_url=address) as stranger:
        key = {"Authorization": f"Bearer {KEY}"}
        document = stranger.get("/v1/openapi.json", headers=key).json()
        assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
        needs_key = refusing(stranger)
        assert needs_key == {one for one in OPERATIONS if not one[1].startswith(("/media", "/healthz"))}
        assert needs_key == {one for one in OPERATIONS if security(document, *one) == [{"key": []}]}
        assert stranger.get("/metrics", headers=key).status_code == 200
        stranger.get("/")  # a visitor of the page has a cookie, and still no key
        assert stranger.get("/metrics").status_code == 401


def test_what_the_document_says_of_the_password_is_so(site: Callable[..., Any]) -> None:
    with site(password=PASSWORD, host="0.0.0.0") as address, httpx.Client(base_url=address) as stranger:
        needs_login = [one for one in OPERATIONS if one[1] != "/healthz"]
        for method, path in needs_login:
            assert stranger.request(method, path.format(id="some", model="tiny")).status_code == 401
        assert stranger.post("/login", data={"password": PASSWORD}).status_code == 303
        document = stranger.get("/v1/openapi.json").json()
        assert [one for one in OPERATIONS if security(document, *one) == [{"login": []}]] == needs_login
        assert document["components"]["securitySchemes"]["login"]["name"] in stranger.cookies
        assert stranger.get("/metrics").status_code == 200


def test_metrics_are_nobody_elses_where_everybody_may_come_in(site: Callable[..., Any]) -> None:
    with site(host="0.0.0.0") as address:
        refused = httpx.get(f"{address}/metrics")
    assert (refused.status_code, "password" in refused.text) == (403, True)


def security(document: dict[str, Any], method: str, path: str) -> Any:
    return document["paths"][path][method.lower()]["security"]


def refusing(client: httpx.Client) -> set[tuple[str, str]]:
    """The operations that are not served to a client; it keeps no cookie in between."""
    found = set()
    for method, path in OPERATIONS:
        client.cookies.clear()
        answer = client.request(method, path.format(id="some", model="tiny"))
        if answer.status_code == 401:
            found.add((method, path))
    return found
