"""The end of a server: answers that are coming come whole, new questions are refused, and nothing is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp

from videollm.model.modeling import VideoLLM
from videollm_serve.app import take_port
from videollm_serve.ending import Ending, GentleServer
from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store

# More than any test waits for.
ENDLESS = 8000


def wish(length: int, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What happens in this video?"}]
    return {"model": "tiny", "messages": messages, "max_tokens": length, "temperature": 0, **fields}


def objects(lines: Iterator[str]) -> Iterator[Any]:
    """The objects of a stream; its end must be marked."""
    told = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert told.pop() == "[DONE]"
    yield from map(json.loads, told)


def text_of(chunks: Iterator[Any]) -> str:
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def until_first_word(lines: Iterator[str]) -> list[str]:
    read = [next(lines)]
    while not re.search('"content": "[^"]', read[-1]):
        read.append(next(lines))
    return read


@contextmanager
def program(model: Path, directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The real program on data of its own; gives its process and its address."""
    (temporary := directory / "temporary").mkdir(exist_ok=True)
    environment = os.environ | {"TMPDIR": str(temporary), "VIDEOLLM_DATA": str(directory / "data")}
    command = [sys.executable, "-m", "videollm", "serve", "--model", str(model), "--port", "0"]
    with subprocess.Popen(
        [*command, "--device", "cpu", *options], env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"ready: (http://[^/]+)", line):
                    yield process, found[1]
                    break
            else:
                raise AssertionError("".join(said))
        finally:
            process.kill()
    assert list(temporary.iterdir()) == []


def test_a_signal_lets_answers_and_uploads_end_and_what_was_brought_is_found_again(
    tiny_checkpoint: Path, tmp_path: Path, clips: dict[str, Path]
) -> None:
    clip, begun, refused = clips["one.mp4"].read_bytes(), threading.Event(), threading.Event()

    def slowly() -> Iterator[bytes]:
        """The clip, of which a part comes only after a question was refused: as long the server must wait."""
        yield clip[:5000]
        begun.set()
        assert refused.wait(60)
        yield clip[5000:]

    with (
        program(tiny_checkpoint, tmp_path, "--grace-s", "300") as (process, url),
        httpx.Client(base_url=url, timeout=120) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        name = http.get("/healthz").json()["model"]
        body = wish(300, model=name, stream=True)
        undisturbed = text_of(objects(iter(http.post("/v1/chat/completions", json=body).text.splitlines())))
        length = {"Content-Length": str(len(clip))}
        brought = pool.submit(http.post, "/v1/videos?name=a.mp4", content=slowly(), headers=length)
        assert begun.wait(60)
        with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            read = until_first_word(lines)
            process.send_signal(signal.SIGTERM)
            while (asked := httpx.post(f"{url}/v1/chat/completions", json=wish(1, model=name))).is_success:
                pass
            assert http.get("/healthz").is_success
            refused.set()
            *pieces, last = objects(iter([*read, *lines]))
        assert (asked.status_code, asked.json()["error"]["code"]) == (503, "closing")
        assert last["choices"][0]["finish_reason"] == "length"
        assert text_of(iter([*pieces, last])) == undisturbed
        id = brought.result().json()["id"]
        assert process.wait(timeout=60) == 0

    with (
        program(tiny_checkpoint, tmp_path, "--grace-s", "300") as (process, url),
        httpx.Client(base_url=url, timeout=120, cookies=http.cookies) as http,
    ):
        assert [video["id"] for video in http.get("/v1/videos").json()["data"]] == [id]
        body = wish(ENDLESS, model=name, stream=True)
        with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            lines = answer.iter_lines()
            until_first_word(lines)
            process.send_signal(signal.SIGTERM)
            while httpx.post(f"{url}/v1/chat/completions", json=wish(1, model=name)).is_success:
                pass
            process.send_signal(signal.SIGTERM)
            with suppress(httpx.RemoteProtocolError):
                assert "finish_reason" not in "".join(lines).replace('"finish_reason": null', "")
        assert process.wait(timeout=60) == 1


@contextmanager
def gentle(
    model: VideoLLM,
    in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp],
    directory: Path,
    grace_s: float,
) -> Iterator[tuple[GentleServer, Future[None], httpx.Client, Models]]:
    """The server in a thread; gives it, what comes of it, somebody who asks it, and what answers."""
    models, ending, data = Models([ChatService(model, "tiny")]), Ending(), directory / "data"
    with (
        Store(data, retention_s=3600) as store,
        take_port("127.0.0.1", 0) as listener,
        httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=120) as http,
        ThreadPoolExecutor(1) as pool,
    ):
        site = in_event_loop(lambda: build_site(models, store, data, SiteOptions(), ending=ending))
        config = uvicorn.Config(site, log_config=None, timeout_graceful_shutdown=60)
        server = GentleServer(config, models, ending, grace_s)
        served = pool.submit(server.run, [listener])
        try:
            yield server, served, http, models
        finally:
            server.should_exit = server.force_exit = True


def test_what_runs_past_the_grace_is_told_that_it_was_cut_off(
    tiny_model: VideoLLM, in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp], tmp_path: Path
) -> None:
    with (
        gentle(tiny_model, in_event_loop, tmp_path, grace_s=0) as (server, served, http, models),
        ThreadPoolExecutor(1) as pool,
    ):
        whole = pool.submit(http.post, "/v1/chat/completions", json=wish(ENDLESS))
        while models.first.engine.state.running == 0:
            assert not whole.done()
        with http.stream("POST", "/v1/chat/completions", json=wish(ENDLESS, stream=True)) as answer:
            lines = answer.iter_lines()
            read = until_first_word(lines)
            server.handle_exit(signal.SIGTERM, None)
            *_, last = objects(iter([*read, *lines]))
        assert last["error"]["code"] == "closing"
        assert "cut" in last["error"]["message"]
        assert whole.result().status_code == 503
        assert whole.result().json()["error"] == last["error"]
        served.result()
        assert (server.was_quiet, server.was_cut_short) == (False, False)


def test_an_open_page_does_not_hold_up_the_end(
    tiny_model: VideoLLM, in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp], tmp_path: Path
) -> None:
    with gentle(tiny_model, in_event_loop, tmp_path, grace_s=300) as (server, served, http, _):
        with http.stream("GET", "/gradio_api/heartbeat/some-page") as alive:
            beats = alive.iter_lines()
            assert next(beats) == "data: ALIVE"
            server.handle_exit(signal.SIGTERM, None)
            # It would beat again, and the server wait for it, for a minute.
            with suppress(httpx.RemoteProtocolError):
                assert [line for line in beats if line] == []
        served.result()
        assert server.was_quiet
