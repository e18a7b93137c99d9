"""Who asks: cookies, keys and the password, on a real server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.testclient import TestClient

from videollm_serve.web.door import DoorSettings, build_door
from videollm_serve.web.errors import add_error_handlers
from videollm_serve.web.hosts import AllowedHosts
from videollm_serve.web.keys import ApiKeys
from videollm_serve.web.owners import Owners
from videollm_serve.web.signing import load_secret

from .serving import serving

PASSWORD = "correct horse"
KEYS = ("a-key-of-somebody-1", "a-key-of-somebody-2")
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def application() -> FastAPI:
    """A small application that tells who asks."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    add_error_handlers(app)

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/")
    def page() -> Response:
        return HTMLResponse("<title>page</title>")

    @app.get("/who")
    @app.get("/v1/who")
    def who(request: Request) -> Response:
        return JSONResponse(request.state.owner)

    return app


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return load_secret(tmp_path_factory.mktemp("data"))


def settings(secret: bytes, **more: object) -> DoorSettings:
    return DoorSettings(secret, AllowedHosts.for_binding("127.0.0.1"), **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def open_port(secret: bytes) -> Iterator[int]:
    with serving(build_door(application(), settings(secret))) as port:
        yield port


@pytest.fixture(scope="module")
def locked_port(secret: bytes) -> Iterator[int]:
    with serving(build_door(application(), settings(secret, password=PASSWORD, keys=ApiKeys(KEYS)))) as port:
        yield port


@pytest.fixture
def client(open_port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{open_port}") as opened:
        yield opened


@pytest.fixture
def outsider(locked_port: int, caplog: pytest.LogCaptureFixture) -> Iterator[httpx.Client]:
    """Somebody without the password; whatever they try, the server answers the next and logs no fault."""
    with httpx.Client(base_url=f"http://127.0.0.1:{locked_port}") as opened:
        yield opened
    assert httpx.get(f"http://127.0.0.1:{locked_port}/healthz", timeout=10).json() == {"status": "ok"}
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


# Owners


def test_a_visitor_is_known_again(client: httpx.Client) -> None:
    first = client.get("/who")
    cookie = first.headers["set-cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=34560000"):
        assert part in cookie.split("; ")
    assert "Secure" not in cookie
    assert first.headers["cache-control"] == "private"
    second = client.get("/who")
    assert second.json() == first.json()
    assert "set-cookie" not in second.headers
    client.cookies.clear()
    assert client.get("/who").json() != first.json()


def test_a_tampered_or_foreign_cookie_makes_a_new_owner(client: httpx.Client, tmp_path: Path) -> None:
    mine = client.get("/who").json()
    ((name, value),) = client.cookies.items()
    client.cookies.clear()
    owner, issued, signature = value.split(".")
    forged = [
        f"{owner}x.{issued}.{signature}",
        f"{owner}.{int(issued) + 1}.{signature}",
        f"{owner}.{issued}.{signature[:-2]}",
        f"{owner}.{issued}.",
        f"{owner}",
        "",
        "." * 5000,
        '"\\303\\244"',
        "\xe4\xf6",
    ]
    for one in forged:
        answer = client.get("/who", headers={"Cookie": f"{name}={one}".encode("latin-1")})
        assert answer.json() not in (mine, owner)
        assert "set-cookie" in answer.headers
    found_among_others = {"Cookie": f"a=b; {name}=forged; {name}={value}; c"}
    assert client.get("/who", headers=found_among_others).json() == mine


def test_two_servers_on_one_machine_leave_each_other_s_cookies_alone(
    client: httpx.Client, tmp_path: Path
) -> None:
    client.get("/who")
    with serving(build_door(application(), settings(load_secret(tmp_path)))) as port:
        answer = httpx.get(f"http://127.0.0.1:{port}/who", cookies=dict(client.cookies))
    assert answer.cookies.keys() & client.cookies.keys() == set()


def test_by_https_the_cookie_is_for_https_only(secret: bytes) -> None:
    door = TestClient(build_door(application(), settings(secret)), base_url="https://localhost")
    assert "; Secure" in door.get("/who").headers["set-cookie"]


def test_the_cookie_is_renewed_in_time_and_ends_at_last(secret: bytes) -> None:
    now_s = [1_000_000.0]
    visitor = TestClient(Owners(application(), secret, now_s=lambda: now_s[0]), base_url="http://localhost")
    first = visitor.get("/who")
    (name,) = visitor.cookies
    old = {"Cookie": f"{name}={visitor.cookies[name]}"}
    visitor.cookies.clear()
    day_s = 24 * 3600
    for days, renewed in ((6, False), (8, True), (399, True)):
        now_s[0] = 1_000_000 + days * day_s
        answer = visitor.get("/who", headers=old)
        assert answer.json() == first.json()
        assert ("set-cookie" in answer.headers) is renewed
        visitor.cookies.clear()
    now_s[0] = 1_000_000 + 401 * day_s
    assert visitor.get("/who", headers=old).json() != first.json()


@pytest.mark.parametrize(
    "link",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"User-Agent": FIREFOX, "Accept": "text/html,application/xhtml+xml"},
    ],
)
def test_a_link_from_elsewhere_does_not_cost_a_person_what_is_theirs(
    client: httpx.Client, link: dict[str, str]
) -> None:
    owner = client.get("/who").json()
    strict = dict(client.cookies)
    client.cookies.clear()  # the browser keeps the strict cookie back
    asked_in = client.get("/", headers=link)
    assert 'http-equiv="refresh"' in asked_in.text
    (marker,) = client.cookies
    assert "SameSite=Lax" in asked_in.headers["set-cookie"]
    assert marker not in strict
    client.cookies.update(strict)  # and brings it when the page loads itself
    assert client.get("/who").json() == owner
    client.cookies.clear()


def test_a_newcomer_who_follows_a_link_is_asked_in_once(client: httpx.Client) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert "refresh" in client.get("/", headers=link).text
    again = client.get("/", headers=link)
    assert "<title>page</title>" in again.text
    (owner,) = client.cookies  # the mark of having been asked in is taken back
    assert not owner.endswith("-arrival")


def test_programs_without_cookies_share_an_owner_if_they_are_given_one(secret: bytes) -> None:
    door = TestClient(
        build_door(application(), settings(secret, program_owner="programs")), base_url="http://localhost"
    )
    for _ in range(2):
        answer = door.get("/v1/who", headers={"Authorization": "Bearer sk-none"})
        assert answer.json() == "programs"
        assert "set-cookie" not in answer.headers
    assert door.get("/who").json().startswith("visitor-")
    assert door.get("/v1/who").json().startswith("visitor-")


# Keys and the password


def test_a_key_is_an_owner_of_its_own(outsider: httpx.Client) -> None:
    owners = [
        outsider.get("/v1/who", headers={"Authorization": f"Bearer {key}"}).json() for key in (*KEYS, KEYS[0])
    ]
    assert owners[0] == owners[2] != owners[1]
    assert all(owner.startswith("key-") for owner in owners)
    assert not outsider.cookies


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic YTpi", f"Bearer {KEYS[0]}x"])
def test_without_a_known_key_the_api_answers_401_as_json(outsider: httpx.Client, authorization: str) -> None:
    answer = outsider.get("/v1/who", headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["type"] == "authentication_error"


def test_without_the_password_only_the_form_and_the_health_are_served(outsider: httpx.Client) -> None:
    assert outsider.get("/healthz").json() == {"status": "ok"}
    to_form = outsider.get("/some/page", headers={"Accept": "text/html"})
    assert to_form.status_code == 303
    assert to_form.headers["location"] == "/login?next=/some/page"
    for path in ("/", "/who", "/healthz/", "//healthz", "/login/x", "/assets/index.js"):
        assert outsider.get(path).status_code == 401
    assert outsider.get("/v1/who").json()["error"]["code"] in ("login_needed", "invalid_api_key")


def test_the_form_is_plain_and_says_what_it_is(outsider: httpx.Client) -> None:
    form = outsider.get("/login?next=/a%22%3E%3Cscript%3E")
    assert "<script" not in form.text
    assert 'value="/a&quot;&gt;&lt;script&gt;"' in form.text
    assert '<label for="password">' in form.text
    assert '<html lang="en">' in form.text
    assert "color-scheme: light dark" in form.text
    policy = form.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert form.headers["cache-control"] == "no-store"


def test_the_password_lets_in_until_one_logs_out(outsider: httpx.Client) -> None:
    welcome = outsider.post("/login", data={"password": PASSWORD, "next": "/who"})
    assert (welcome.status_code, welcome.headers["location"]) == (303, "/who")
    owner = outsider.get("/who").json()
    assert outsider.get("/v1/who").json() == owner
    assert "Log out" in outsider.get("/logout").text
    assert outsider.get("/who").json() == owner
    assert outsider.post("/logout").headers["location"] == "/login"
    assert outsider.get("/who").status_code == 401


def test_being_logged_in_cannot_be_passed_on_or_forged(outsider: httpx.Client, locked_port: int) -> None:
    outsider.post("/login", data={"password": PASSWORD})
    (login,) = (name for name in outsider.cookies if name.endswith("-login"))
    (own,) = (name for name in outsider.cookies if name != login)
    for cookies in (
        {login: outsider.cookies[login]},
        {login: outsider.cookies[own], own: outsider.cookies[own]},
        {login: outsider.cookies[login] + "x", own: outsider.cookies[own]},
    ):
        assert httpx.get(f"http://127.0.0.1:{locked_port}/who", cookies=cookies).status_code == 401


def test_a_new_password_logs_everybody_out(secret: bytes) -> None:
    old = TestClient(
        build_door(application(), settings(secret, password=PASSWORD)), base_url="http://localhost"
    )
    old.post("/login", data={"password": PASSWORD}, follow_redirects=False)
    assert old.get("/who").status_code == 200
    new = TestClient(
        build_door(application(), settings(secret, password="another horse")), base_url="http://localhost"
    )
    new.cookies = old.cookies
    assert new.get("/who").status_code == 401


@pytest.mark.parametrize(
    "elsewhere", ["//evil.example", "/\\evil.example", "https://evil.example", "", "/a\r\nX: y"]
)
def test_the_form_sends_nobody_to_another_site(outsider: httpx.Client, elsewhere: str) -> None:
    answer = outsider.post("/login", data={"password": PASSWORD, "next": elsewhere})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"password=" + b"x" * 5000, "application/x-www-form-urlencoded", 413),
        (b'{"password": "x"}', "application/json", 415),
        (b"&".join(b"a=b" for _ in range(50)), "application/x-www-form-urlencoded", 400),
        (b"password=\xff\xfe", "application/x-www-form-urlencoded", 400),
    ],
)
def test_a_form_that_is_none_is_refused(
    secret: bytes, content: bytes, content_type: str, status: int
) -> None:
    door = TestClient(
        build_door(application(), settings(secret, password=PASSWORD)), base_url="http://localhost"
    )
    assert door.post("/login", content=content, headers={"Content-Type": content_type}).status_code == status


def test_guessing_the_password_is_slowed_down_even_for_the_right_guess(secret: bytes) -> None:
    with serving(build_door(application(), settings(secret, password=PASSWORD))) as port:
        form = f"http://127.0.0.1:{port}/login"
        statuses = [httpx.post(form, data={"password": f"guess {number}"}).status_code for number in range(8)]
        assert statuses == [401] * 6 + [429] * 2
        right = httpx.post(form, data={"password": PASSWORD}, headers={"X-Forwarded-For": "192.0.2.1"})
        assert right.status_code == 429
        assert int(right.headers["retry-after"]) >= 1
        assert "Too many attempts" in right.text
        assert not any(name.endswith("-login") for name in right.cookies)
