"""What the door expects of browsers, in a browser: cookies that stay home, links from elsewhere, the form."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from videollm_serve.web.door import DoorSettings, build_door
from videollm_serve.web.hosts import AllowedHosts
from videollm_serve.web.signing import load_secret

from .serving import serving

if TYPE_CHECKING:
    from playwright.sync_api import Page

PASSWORD = "correct horse"


def application() -> FastAPI:
    """Tells who asks, and counts what was changed."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    changed: list[str] = []

    @app.get("/")
    def who(request: Request) -> Response:
        return HTMLResponse(f"<p id=owner>{request.state.owner}</p>")

    @app.post("/change")
    def change(request: Request) -> Response:
        changed.append(request.state.owner)
        return PlainTextResponse("changed")

    @app.get("/favicon.ico")
    def icon() -> Response:
        return Response(status_code=204)

    @app.get("/changed")
    def how_often() -> Response:
        return PlainTextResponse(str(len(changed)))

    return app


def elsewhere() -> FastAPI:
    """Another site: it links to an address, sends a form there, and asks there by script."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)

    @app.get("/")
    def page(to: str) -> Response:
        return HTMLResponse(
            f'<a href="{to}/">link</a><form method=post action="{to}/change"><button>send</button></form>'
            f'<script>fetch("{to}/change", {{method: "POST", mode: "no-cors", credentials: "include"}})'
            ".catch(() => 0).finally(() => document.title = 'asked')</script>"
        )

    return app


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    """Ports of an open server, of one with a password, and of another site."""
    secret = load_secret(tmp_path_factory.mktemp("data"))
    hosts = AllowedHosts.for_binding("127.0.0.1", ["home.example"])
    with ExitStack() as opened:
        yield {
            "open": opened.enter_context(serving(build_door(application(), DoorSettings(secret, hosts)))),
            "locked": opened.enter_context(
                serving(build_door(application(), DoorSettings(secret, hosts, password=PASSWORD)))
            ),
            "elsewhere": opened.enter_context(serving(elsewhere())),
        }


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A page of a Chromium for which names below .example are this machine."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: install Debian's package chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP *.example 127.0.0.1"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched.new_context().new_page()
        launched.close()


# To 127.0.0.1 a browser says where a request comes from, to a name on a network without https it does not.
@pytest.mark.parametrize("host", ["127.0.0.1", "home.example"])
def test_another_site_can_link_but_not_change_and_the_owner_stays(
    page: Page, ports: dict[str, int], host: str
) -> None:
    home = f"http://{host}:{ports['open']}"
    page.goto(home)
    owner = page.inner_text("#owner")
    before = page.goto(f"{home}/changed")
    assert before is not None
    count = before.text()
    away = f"http://elsewhere.example:{ports['elsewhere']}/?to={home}"

    page.goto(away)
    page.wait_for_function("document.title === 'asked'")
    page.click("button")
    page.wait_for_url(f"{home}/change")
    assert "other sites" in page.inner_text("body")

    page.goto(away)
    page.click("a")
    assert page.inner_text("#owner") == owner

    after = page.goto(f"{home}/changed")
    assert after is not None
    assert after.text() == count


@pytest.mark.parametrize("host", ["127.0.0.1", "home.example"])
def test_a_person_logs_in_and_out_with_the_forms(page: Page, ports: dict[str, int], host: str) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"http://{host}:{ports['locked']}/")
    assert page.evaluate("document.activeElement.id") == "password"
    page.fill("#password", "wrong horse")
    page.keyboard.press("Enter")
    assert page.inner_text("[role=alert]") == "That is not the password."
    complaints.clear()  # a browser notes the status 401
    assert (
        page.evaluate("getComputedStyle(document.querySelector('button')).backgroundColor")
        == "rgb(67, 56, 202)"
    )
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    assert page.inner_text("#owner").startswith("visitor-")
    page.goto(f"http://{host}:{ports['locked']}/logout")
    page.click("button")
    page.wait_for_url("**/login")
    # Without https browsers pass over one of the headers, and say so.
    assert [
        told for told in complaints if "Cross-Origin-Opener-Policy header has been ignored" not in told
    ] == []
