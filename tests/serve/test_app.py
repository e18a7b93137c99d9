"""The server: it takes its port first, keeps to this machine, and offers a page without anything from elsewhere."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from videollm.errors import ConfigError
from videollm.model.modeling import VideoLLM
from videollm_serve.app import take_port
from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store
from videollm_serve.ui.examples import prepare_examples


@pytest.fixture(scope="module")
def client(
    tiny_model: VideoLLM,
    in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TestClient]:
    models, data = Models([ChatService(tiny_model, "tiny")]), tmp_path_factory.mktemp("data")
    with Store(data, retention_s=3600) as store:
        examples = prepare_examples(tmp_path_factory.mktemp("examples"), seeds=[42, 10])
        site = in_event_loop(lambda: build_site(models, store, data, SiteOptions(max_file_mb=1), examples))
        yield TestClient(site, base_url="http://127.0.0.1")
    models.close(grace_s=0)


def test_a_taken_port_is_one_clear_line() -> None:
    with take_port("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}.*--port"):
            take_port("127.0.0.1", port)


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host"])
def test_an_address_that_is_not_of_this_machine_is_one_clear_line(host: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(host)):
        take_port(host, 0)


def test_a_port_can_be_taken_again_at_once() -> None:
    with take_port("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()
    take_port("127.0.0.1", port).close()


def test_the_verb_refuses_a_taken_port_before_it_loads_anything(tiny_checkpoint: Path) -> None:
    with take_port("127.0.0.1", 0) as listener:
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-m", "videollm", "serve", "--port", port, "--model", str(tiny_checkpoint)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr


def test_an_unknown_model_is_one_clear_line() -> None:
    command = [sys.executable, "-m", "videollm", "serve", "--port", "0", "--model", "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: nowhere: there is no such directory")
    assert "Traceback" not in done.stderr


def test_the_verb_is_light() -> None:
    script = (
        "import sys, videollm_serve.command; print({'torch', 'gradio', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "set()"


def test_the_page_names_nothing_elsewhere_that_a_browser_would_fetch(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    fetched = re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=[\"']([^\"']+)", page.text)
    assert fetched
    assert [address for address in fetched if "//" in address] == []
    theme = client.get("/theme.css").text
    assert re.findall(r"@import|url\([\"']?(?:https?:)?//", theme) == []


def test_every_response_forbids_the_browser_other_hosts(client: TestClient) -> None:
    for path in ("/", "/config", "/healthz", "/nothing-here"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "http" not in policy


@pytest.mark.parametrize("route", ["file=", "proxy="])
def test_the_server_fetches_nothing_for_the_browser(client: TestClient, route: str) -> None:
    for scheme in ("http", "https"):
        assert client.get(f"/gradio_api/{route}{scheme}://127.0.0.1:9/x").status_code == 403


def test_no_file_goes_in_or_out_by_the_ways_of_the_framework(
    client: TestClient, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    small = {"files": ("small.mp4", b"0" * 1000)}
    assert client.post("/gradio_api/upload", files=small).status_code == 403
    for path in (f"{tiny_checkpoint}/config.json", "assets/logo.svg", str(tmp_path)):
        assert client.get(f"/gradio_api/file={path}").status_code == 403


def test_what_the_page_says_at_an_event_is_small(client: TestClient) -> None:
    event = {"data": ["x" * 1_100_000], "fn_index": 0, "session_hash": "any"}
    assert client.post("/gradio_api/queue/join", json=event).status_code == 413


def test_an_upload_over_the_limit_is_refused(client: TestClient) -> None:
    assert client.post("/v1/videos?name=large.mp4", content=b"0" * 1_300_000).status_code == 413


def test_an_example_becomes_an_upload_of_whoever_asks_once(client: TestClient) -> None:
    assert client.get("/examples/1.png").headers["content-type"] == "image/png"
    first = client.post("/examples/0")
    assert first.status_code == 200
    example = first.json()
    assert (example["name"], example["kind"]) == ("scene-42.mp4", "video")
    assert client.post("/examples/0").json() == example
    assert client.post("/examples/1").json()["id"] != example["id"]
    assert client.get(example["url"]).status_code == 200
    client.delete(f"/v1/videos/{example['id']}")
    assert client.get(example["url"]).status_code == 404
    again = client.post("/examples/0").json()
    assert again["sha256"] == example["sha256"]
    stranger = TestClient(client.app, base_url="http://127.0.0.1")
    assert stranger.get("/").status_code == 200
    assert stranger.get(again["url"]).status_code == 404
    assert stranger.post("/examples/0").json()["id"] != again["id"]


@pytest.mark.parametrize("path", ["/examples/2", "/examples/-1", "/examples/00"])
def test_an_example_that_is_not_there_is_not_found(client: TestClient, path: str) -> None:
    assert client.post(path).status_code == 404
    assert client.get(f"{path}.png").status_code == 404


def test_nothing_can_be_called_past_the_page(client: TestClient) -> None:
    info = client.get("/gradio_api/info").json()
    assert info["named_endpoints"] == {}
    config = client.get("/config").json()
    assert not config["analytics_enabled"]
    assert not config.get("space_id")


def test_health_names_the_models(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "model": "tiny", "models": ["tiny"]}
