"""The server: it takes its port first, keeps to this machine, and offers a page without anything from elsewhere."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from videollm.errors import ConfigError
from videollm.model.modeling import VideoLLM
from videollm_serve.app import ServerOptions, build_app, take_port
from videollm_serve.service import ChatService


@pytest.fixture(scope="module")
def client(tiny_model: VideoLLM, in_event_loop: Callable[[Callable[[], FastAPI]], FastAPI]) -> TestClient:
    service, options = ChatService(tiny_model, "tiny"), ServerOptions(max_file_mb=1)
    return TestClient(in_event_loop(lambda: build_app(service, options)))


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


def test_files_outside_the_uploads_are_not_served(client: TestClient, tiny_checkpoint: Path) -> None:
    assert client.get(f"/gradio_api/file={tiny_checkpoint}/config.json").status_code == 403


def test_an_upload_over_the_limit_is_refused(client: TestClient) -> None:
    large = {"files": ("large.mp4", b"0" * 1_100_000)}
    assert client.post("/gradio_api/upload", files=large).status_code == 413
    small = {"files": ("small.mp4", b"0" * 1000)}
    assert client.post("/gradio_api/upload", files=small).status_code == 200


def test_nothing_can_be_called_past_the_page(client: TestClient) -> None:
    info = client.get("/gradio_api/info").json()
    assert info["named_endpoints"] == {}
    config = client.get("/config").json()
    assert not config["analytics_enabled"]
    assert not config.get("space_id")


def test_health_names_the_model(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "model": "tiny"}
