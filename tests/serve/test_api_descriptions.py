"""Descriptions over HTTP are those of the library, and leave room for what others ask; metrics tell of all of it."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from videollm import describe_video
from videollm.describe.settings import DescribeOptions
from videollm.describe.subtitle_files import srt, vtt
from videollm.errors import CancelledError, ConfigError, VideoLLMError
from videollm.media import ReadOptions
from videollm.model.modeling import VideoLLM
from videollm_serve.service.describing import Described, TextReady
from videollm_serve.service.events import Waiting
from videollm_serve.service.programs import ProgramMedium
from videollm_serve.service.service import ChatService

from .serving import visiting_site


@pytest.fixture(scope="module")
def service(tiny_model: VideoLLM) -> Iterator[ChatService]:
    service = ChatService(tiny_model, "tiny", "It sees nothing.")
    yield service
    service.close(grace_s=0)


@pytest.fixture(scope="module")
def http(
    service: ChatService,
    in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    with visiting_site(service, in_event_loop, tmp_path_factory.mktemp("data")) as client:
        yield client


@pytest.fixture(scope="module")
def video(http: httpx.Client, clips: dict[str, Path]) -> str:
    sent = http.post("/v1/videos?name=a%20day.mp4", content=clips["one.mp4"].read_bytes())
    return str(sent.json()["id"])


def wish(video: str, **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "video": video, "max_tokens": 6, **fields}


def medium(path: Path) -> ProgramMedium:
    return ProgramMedium(path, ReadOptions(), path.name)


def objects(answer: httpx.Response) -> list[Any]:
    """The objects of a stream, without the mark at its end."""
    lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.mark.parametrize(
    "fields",
    [{}, {"detail": "dense"}, {"every_s": 1.0}, {"start_s": 1.0, "end_s": 3.5}, {"style": "actions"}],
)
def test_a_description_is_the_one_that_the_library_gives(
    http: httpx.Client, video: str, tiny_model: VideoLLM, clips: dict[str, Path], fields: dict[str, Any]
) -> None:
    expected = describe_video(tiny_model, clips["one.mp4"], max_new_tokens=6, **fields)
    answer = http.post("/v1/descriptions", json=wish(video, **fields))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["summary"] == expected.summary
    assert found["events"] == [asdict(event) for event in expected.events]
    assert found["notices"] == list(expected.notices)
    assert found["frames"] == expected.usage.frames
    assert found["usage"]["prompt_tokens"] == expected.usage.prompt_tokens
    assert found["usage"]["completion_tokens"] == expected.usage.completion_tokens
    assert found["usage"]["prompt_tokens_details"]["visual_tokens"] == expected.usage.visual_tokens


def test_a_stream_tells_each_text_and_then_all_of_them(http: httpx.Client, video: str) -> None:
    whole = http.post("/v1/descriptions", json=wish(video, every_s=1.0)).json()
    with http.stream("POST", "/v1/descriptions", json=wish(video, every_s=1.0, stream=True)) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        *texts, last = objects(answer)
    assert [text["event"] for text in texts] == whole["events"]
    assert len(texts) > 2
    assert (last["summary"], last["events"]) == (whole["summary"], whole["events"])
    assert {text["id"] for text in texts} == {last["id"]}


def test_subtitles_and_markdown_are_those_of_a_job(
    http: httpx.Client, video: str, tiny_model: VideoLLM, clips: dict[str, Path]
) -> None:
    expected = describe_video(tiny_model, clips["one.mp4"], max_new_tokens=6)
    found = {
        kind: http.post("/v1/descriptions", json=wish(video, format=kind)) for kind in ("srt", "vtt", "md")
    }
    assert {kind: answer.headers["Content-Type"] for kind, answer in found.items()} == {
        "srt": "application/x-subrip; charset=utf-8",
        "vtt": "text/vtt; charset=utf-8",
        "md": "text/markdown; charset=utf-8",
    }
    assert found["srt"].text == srt(expected.events)
    assert found["vtt"].text == (vtt(expected.events) or "WEBVTT\n")
    assert found["md"].text.startswith("# a day.mp4\n")


def test_a_video_may_come_with_the_request_itself(
    http: httpx.Client, video: str, clips: dict[str, Path]
) -> None:
    data = base64.b64encode(clips["one.mp4"].read_bytes()).decode()
    sent = http.post("/v1/descriptions", json=wish(f"data:video/mp4;base64,{data}"))
    assert sent.json()["events"] == http.post("/v1/descriptions", json=wish(video)).json()["events"]


@pytest.mark.parametrize(
    ("fields", "status", "param", "told"),
    [
        ({"model": "gpt"}, 404, "model", "no model 'gpt'"),
        ({"video": "nothing-of-yours"}, 404, "video", "no such upload"),
        ({"video": "file:///etc/passwd"}, 400, "video", ""),
        ({"video": "data:text/plain;base64,SGVsbG8="}, 415, "video", "neither a video nor an image"),
        ({"every_s": 1, "detail": "dense"}, 400, "every_s", "give one of the two"),
        ({"every_s": 1e6}, 400, "every_s", "got 1e+06"),
        ({"style": "sonnet"}, 400, "style", "no style 'sonnet'"),
        ({"start_s": 3, "end_s": 2}, 400, "end_s", "must end after it starts"),
        ({"start_s": 999}, 400, "start_s", "a day.mp4 lasts only"),
        ({"max_tokens": 2**40}, 400, "max_tokens", "at most 2147483648, got 1099511627776"),
        ({"stream": True, "format": "srt"}, 400, "format", "a stream is JSON"),
        ({"format": "html"}, 400, "format", "srt"),
        ({"every_s": "often"}, 400, "every_s", "number"),
        ({"unheard_of": 1}, 400, "unheard_of", ""),
    ],
)
def test_what_cannot_be_described_is_refused_in_one_line(
    http: httpx.Client, video: str, fields: dict[str, Any], status: int, param: str | None, told: str
) -> None:
    refused = http.post("/v1/descriptions", json=wish(video) | fields)
    assert refused.status_code == status, refused.text
    error = refused.json()["error"]
    assert (error["param"], "\n" in error["message"]) == (param, False)
    assert told in error["message"]


def test_a_file_that_cannot_be_read_has_its_owners_name(http: httpx.Client, clips: dict[str, Path]) -> None:
    broken = clips["one.mp4"].read_bytes()[:600]
    id = http.post("/v1/videos?name=mine.mp4", content=broken).json()["id"]
    refused = http.post("/v1/descriptions", json=wish(id))
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "unreadable_video")
    assert refused.json()["error"]["message"].startswith("mine.mp4")
    assert refused.json()["error"]["param"] == "video"
    (streamed,) = objects(http.post("/v1/descriptions", json=wish(id, stream=True)))
    assert streamed == refused.json()


def test_others_get_their_turn_between_two_windows(service: ChatService, clips: dict[str, Path]) -> None:
    options = DescribeOptions(every_s=0.5, max_new_tokens=4)
    texts: list[TextReady] = []
    stalled, released, waits = threading.Event(), threading.Event(), threading.Event()

    def stall() -> None:
        stalled.set()
        released.wait()

    def describe() -> None:
        for event in service.describe("someone", medium(clips["one.mp4"]), options):
            if isinstance(event, Waiting):
                waits.set()
            if isinstance(event, TextReady):
                texts.append(event)

    service.engine.submit("nobody", stall)
    assert stalled.wait(60)
    service.engine.submit("before", lambda: None)
    thread = threading.Thread(target=describe)
    thread.start()
    assert waits.wait(60)
    other = service.engine.submit("another", lambda: len(texts))
    released.set()
    thread.join()
    assert other.result() <= 1 < len(texts)


def test_a_description_that_has_begun_comes_to_its_end_though_the_server_is_ending(
    tiny_model: VideoLLM, clips: dict[str, Path]
) -> None:
    service = ChatService(tiny_model, "tiny")
    wish = ("me", medium(clips["one.mp4"]), DescribeOptions(every_s=0.5, max_new_tokens=4))
    expected = list(service.describe(*wish))
    told = iter(service.describe(*wish))
    begun = [next(told)]
    while not isinstance(begun[-1], TextReady):
        begun.append(next(told))
    service.refuse()
    assert [type(one) for one in (*begun, *told)] == [type(one) for one in expected]
    with pytest.raises(VideoLLMError, match="closing"):
        list(service.describe(*wish))
    service.close(grace_s=0)


def test_a_description_that_is_stopped_goes_no_further(service: ChatService, clips: dict[str, Path]) -> None:
    run = service.describe(
        "someone", medium(clips["one.mp4"]), DescribeOptions(every_s=0.5, max_new_tokens=4)
    )
    seen = []

    def until_stopped() -> None:
        for event in run:
            seen.append(event)
            if isinstance(event, TextReady):
                run.stop()

    with pytest.raises(CancelledError):
        until_stopped()
    assert sum(isinstance(event, TextReady) for event in seen) == 1
    assert not any(isinstance(event, Described) for event in seen)


def test_what_the_model_cannot_do_is_said_before_anything_is_read(service: ChatService) -> None:
    with pytest.raises(ConfigError, match="no style 'sonnet'"):
        service.describe("someone", medium(Path("nowhere.mp4")), DescribeOptions(style="sonnet"))


def test_who_hangs_up_leaves_no_description_running(http: httpx.Client, video: str) -> None:
    body = wish(video, every_s=0.01, stream=True)
    with http.stream("POST", "/v1/descriptions", json=body) as answer:
        next(line for line in answer.iter_lines() if line.startswith("data: "))
    for _ in range(300):  # all of it would take much longer
        if numbers(http)['videollm_requests_at_work{kind="descriptions"}'] == 0:
            return
    pytest.fail("the description goes on")


def numbers(http: httpx.Client) -> dict[str, float]:
    """What the metrics tell, by name and labels; each line must be one of the format."""
    answer = http.get("/metrics")
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.text.endswith("\n")
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in answer.text.splitlines():
        if line.startswith("#"):
            mark = re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line)
            assert mark, line
            kinds |= {mark[2]: mark[3]} if mark[1] == "TYPE" else {}
            continue
        sample = re.fullmatch(r'(([a-z_]+)(?:\{[a-z]+="[^"\n]*"(?:,[a-z]+="[^"\n]*")*\})?) (\S+)', line)
        assert sample, line
        family = re.sub("_(bucket|sum|count)$", "", sample[2])
        assert kinds.get(sample[2], kinds.get(family)) in ("counter", "gauge", "histogram")
        assert sample[1] not in found
        found[sample[1]] = float(sample[3])
    return found


def test_metrics_count_what_is_asked(
    http: httpx.Client, video: str, clips: dict[str, Path], service: ChatService
) -> None:
    def ask() -> None:
        content = [
            {"type": "video_url", "video_url": {"url": video}},
            {"type": "text", "text": "What happens?"},
        ]
        body = {"model": "tiny", "messages": [{"role": "user", "content": content}], "max_tokens": 5}
        assert http.post("/v1/chat/completions", json=body).status_code == 200

    ask()
    before = numbers(http)
    ask()
    id = http.post("/v1/videos", content=clips["still.png"].read_bytes()).json()["id"]
    http.get(f"/v1/videos/{id}")
    http.get("/v1/videos/nothing")
    after = numbers(http)

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    chat = 'route="/v1/chat/completions"'
    assert grown(f'videollm_requests_total{{{chat},method="POST",status="200"}}') == 1
    assert grown('videollm_requests_total{route="/v1/videos/{id}",method="GET",status="200"}') == 1
    assert grown('videollm_requests_total{route="/v1/videos/{id}",method="GET",status="404"}') == 1
    assert grown(f"videollm_request_seconds_count{{{chat}}}") == 1
    assert grown(f"videollm_request_seconds_sum{{{chat}}}") > 0
    assert grown('videollm_answer_tokens_total{model="tiny"}') == 5
    assert grown('videollm_answers_total{model="tiny"}') == 1
    assert grown('videollm_encoded_hits_total{model="tiny"}') >= 1
    assert after['videollm_prefix_bytes{model="tiny"}'] > 0
    assert after["videollm_encoded_bytes"] == service.memory.nbytes > 0
    assert grown("videollm_uploads") == 1
    assert grown("videollm_upload_bytes") == clips["still.png"].stat().st_size
    assert after["process_resident_memory_bytes"] > 50e6
    assert after['videollm_questions_running{model="tiny"}'] == 0
    buckets = [
        value for name, value in after.items() if name.startswith(f"videollm_request_seconds_bucket{{{chat}")
    ]
    assert buckets == sorted(buckets)
    assert buckets[-1] == after[f"videollm_request_seconds_count{{{chat}}}"]
