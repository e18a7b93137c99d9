"""Damaged videos in numbers: the server stays up, says no or answers, and the next person is served."""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image
from starlette.types import ASGIApp

from videollm.model.modeling import VideoLLM
from videollm.synthetic.files import write_clip
from videollm.synthetic.sampling import sample_clip
from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store

from .serving import serving

FILES = 200
# Whole, small, of many kinds of containers and codecs.
KINDS = ("one.mp4", "one.mkv", "one.webm", "one.avi", "one.mov", "still.png", "still.gif", "still.jpg")


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Files that are as they should be."""
    directory = tmp_path_factory.mktemp("seeds")
    clip = sample_clip(42, "test")
    for kind in KINDS:
        if kind.startswith("one"):
            write_clip(clip, directory / kind)
        else:
            Image.new("RGB", (48, 32), (200, 30, 60)).save(directory / kind)
    return [(kind, (directory / kind).read_bytes()) for kind in KINDS]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("around") / "data"


@pytest.fixture(scope="module")
def http(
    tiny_model: VideoLLM, data: Path, in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp]
) -> Iterator[httpx.Client]:
    """A client of a site that is served by a real server."""
    models = Models([ChatService(tiny_model, "tiny")])
    with Store(data, retention_s=3600) as store:
        site = in_event_loop(lambda: build_site(models, store, data, SiteOptions(max_file_mb=20)))
        with (
            serving(site, lifespan="auto") as port,
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client,
        ):
            yield client
    models.close(grace_s=0)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The bytes with one kind of damage, mostly where containers say what they hold."""
    changed = bytearray(content)
    near = min(len(changed), chance.choice([64, 1024, len(changed)]))
    match chance.randrange(5):
        case 0:  # some bytes are others
            for _ in range(chance.choice([1, 4, 32])):
                changed[chance.randrange(near)] = chance.randrange(256)
        case 1:  # numbers as large as they can be
            place = chance.randrange(near)
            changed[place : place + 4] = b"\xff" * 4
        case 2:  # it ends too early
            del changed[chance.randrange(len(changed)) :]
        case 3:  # a part is missing
            place = chance.randrange(near)
            del changed[place : place + chance.randrange(1, 2000)]
        case _:  # a part is there twice
            place = chance.randrange(near)
            changed[place:place] = changed[place : place + chance.randrange(1, 2000)]
    return bytes(changed)


def ask(http: httpx.Client, video: str) -> httpx.Response:
    part = {"type": "video_url", "video_url": {"url": video}}
    messages = [{"role": "user", "content": [part, {"type": "text", "text": "What?"}]}]
    wish = {"model": "tiny", "messages": messages, "max_tokens": 1, "videollm": {"max_frames": 2}}
    return http.post("/v1/chat/completions", json=wish)


def test_two_hundred_damaged_files_get_a_plain_answer_and_the_next_person_is_served(
    http: httpx.Client, seeds: list[tuple[str, bytes]], data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(8)
    before = {path.name for path in data.parent.iterdir()}
    told: Counter[tuple[int, int | None]] = Counter()
    for number in range(FILES):
        name, content = seeds[number % len(seeds)]
        sent = http.post("/v1/videos", params={"name": name}, content=damaged(content, chance))
        assert sent.status_code in (201, 400, 413, 415, 422), (number, sent.text)
        asked = None
        if sent.status_code == 201:
            asked = ask(http, sent.json()["id"])
            assert asked.status_code in (200, 400, 422), (number, asked.text)
            assert str(data) not in asked.text
            assert http.delete(f"/v1/videos/{sent.json()['id']}").status_code in (200, 204)
        else:
            assert sent.json()["error"]["message"]
        told[sent.status_code, asked and asked.status_code] += 1
    assert min(told[201, 200], told.total() - told[201, 200]) > FILES // 10, told
    whole = http.post("/v1/videos", params={"name": "whole.mp4"}, content=seeds[0][1])
    assert ask(http, whole.json()["id"]).status_code == 200
    assert {path.name for path in data.parent.iterdir()} == before
    assert [path.name for path in (data / "uploads").iterdir()] == [whole.json()["id"]]
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
