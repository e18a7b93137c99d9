"""The API as programs use it: OpenAI's own client, unchanged, and plain HTTP where that says more."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import torch
from starlette.types import ASGIApp

from videollm import load_model
from videollm.chat import VideoChat
from videollm.encodings.cache import EncodedCache
from videollm.encodings.memory import MemoryCache
from videollm.media import ReadOptions, load_medium
from videollm.model.modeling import VideoLLM
from videollm_serve.options import SiteOptions
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.site import build_site
from videollm_serve.store.store import Store

from .serving import serving

QUESTION = "What happens in this video?"


@pytest.fixture(scope="module")
def other_model(tiny_checkpoint: Path) -> VideoLLM:
    """A model with other weights, those that see and those that write."""
    model = load_model(tiny_checkpoint, device="cpu")
    with torch.no_grad():
        for part in (model.projector, model.language_model):
            for weight in part.parameters():
                weight.mul_(1.3)
    return model


@pytest.fixture(scope="module")
def models(tiny_model: VideoLLM, other_model: VideoLLM) -> Iterator[Models]:
    """Two models that share what is kept of videos."""
    cache = EncodedCache(MemoryCache())
    both = Models(
        [
            ChatService(tiny_model, "tiny", "It sees nothing.", cache=cache),
            ChatService(other_model, "other", cache=cache),
        ]
    )
    yield both
    both.close(grace_s=0)


@pytest.fixture(scope="module")
def service(models: Models) -> ChatService:
    return models["tiny"]


@pytest.fixture(scope="module")
def address(
    models: Models,
    in_event_loop: Callable[[Callable[[], ASGIApp]], ASGIApp],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Where a site is served by a real server."""
    data = tmp_path_factory.mktemp("data")
    with Store(data, retention_s=3600) as store:
        site = in_event_loop(lambda: build_site(models, store, data, SiteOptions(max_file_mb=20)))
        with serving(site, lifespan="auto") as port:
            yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def video(http: httpx.Client, clips: dict[str, Path]) -> str:
    """The id of an uploaded clip."""
    with clips["one.mp4"].open("rb") as file:
        sent = http.post("/v1/videos", files={"file": ("a holiday.mp4", file)})
    assert sent.status_code == 201
    return str(sent.json()["id"])


def asked(video: str, question: str = QUESTION) -> list[Any]:
    part = {"type": "video_url", "video_url": {"url": video}}
    return [{"role": "user", "content": [part, {"type": "text", "text": question}]}]


def wish(messages: list[Any], **fields: Any) -> dict[str, Any]:
    return {"model": "tiny", "messages": messages, "max_tokens": 12, **fields}


def test_openais_client_gets_the_answer_that_the_library_gives(
    client: openai.OpenAI, video: str, tiny_model: VideoLLM, clips: dict[str, Path]
) -> None:
    expected = VideoChat(tiny_model, clips["one.mp4"]).ask(QUESTION, max_new_tokens=12)
    answer = client.chat.completions.create(**wish(asked(video)))
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == expected.usage.prompt_tokens
    assert answer.usage.completion_tokens == 12
    told = answer.to_dict()["usage"]["prompt_tokens_details"]
    assert told["visual_tokens"] == expected.usage.visual_tokens


def test_openais_client_streams_the_same_answer_in_pieces(client: openai.OpenAI, video: str) -> None:
    whole = client.chat.completions.create(**wish(asked(video)))
    chunks = list(
        client.chat.completions.create(
            **wish(asked(video), stream=True, stream_options={"include_usage": True})
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 2
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "length"
    assert len({chunk.id for chunk in chunks}) == 1


def test_openais_client_lists_the_models(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["tiny", "other"]
    assert [client.models.retrieve(name).id for name in ("tiny", "other")] == ["tiny", "other"]
    with pytest.raises(openai.NotFoundError, match="no model 'gpt'"):
        client.models.retrieve("gpt")


def test_each_model_answers_as_it_does_alone_though_they_share_what_is_kept(
    http: httpx.Client,
    video: str,
    models: Models,
    tiny_model: VideoLLM,
    other_model: VideoLLM,
    clips: dict[str, Path],
) -> None:
    said = {}
    for name, model in (("tiny", tiny_model), ("other", other_model)):
        body = wish(asked(video), model=name)
        first, again = (http.post("/v1/chat/completions", json=body).json() for _ in range(2))
        said[name] = first["choices"][0]["message"]["content"]
        assert said[name] == VideoChat(model, clips["one.mp4"]).ask(QUESTION, max_new_tokens=12).text
        assert again["choices"] == first["choices"]
        assert first["model"] == name
    assert said["tiny"] != said["other"]
    assert models["other"].encoded.misses == 2  # looked for once by its own key, and once more when encoded
    assert models["other"].encoded.hits >= 1
    assert models["tiny"].memory is models["other"].memory
    assert models.memory_bytes == models["tiny"].memory.nbytes


def test_a_conversation_that_goes_on_reads_only_what_is_new(
    client: openai.OpenAI, video: str, tiny_model: VideoLLM, clips: dict[str, Path]
) -> None:
    chat = VideoChat(tiny_model, clips["one.mp4"])
    chat.ask("How many shots are there?", max_new_tokens=12)
    expected = chat.ask("And then?", max_new_tokens=12)
    messages = asked(video, "How many shots are there?")
    first = client.chat.completions.create(**wish(messages))
    messages += [first.choices[0].message.to_dict(), {"role": "user", "content": "And then?"}]
    second = client.chat.completions.create(**wish(messages))
    assert second.choices[0].message.content == expected.text
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert second.usage.prompt_tokens_details.cached_tokens == expected.usage.cached_tokens > 20


def test_several_media_may_come_with_the_request_itself(
    http: httpx.Client, tiny_model: VideoLLM, clips: dict[str, Path], tmp_path: Path
) -> None:
    def data_url(name: str) -> str:
        return f"data:video/mp4;base64,{base64.b64encode(clips[name].read_bytes()).decode()}"

    content = [
        {"type": "video_url", "video_url": {"url": data_url("two.mp4"), "end_s": 2.0}},
        {"type": "image_url", "image_url": {"url": data_url("still.png")}},
        {"type": "text", "text": QUESTION},
    ]
    answer = http.post("/v1/chat/completions", json=wish([{"role": "user", "content": content}]))
    assert answer.status_code == 200, answer.text
    part = load_medium(tiny_model, clips["two.mp4"], ReadOptions(end_s=2.0))
    expected = VideoChat(tiny_model, [part, load_medium(tiny_model, clips["still.png"])]).ask(
        QUESTION, max_new_tokens=12
    )
    assert answer.json()["choices"][0]["message"]["content"] == expected.text
    assert answer.json()["videollm"]["frames"] == expected.usage.frames


def test_many_conversations_at_once_get_each_their_own_answer(http: httpx.Client, video: str) -> None:
    questions = [f"What happens at 0:0{number}?{' Please.' * number}" for number in range(8)]

    def ask(question: str) -> str:
        sent = http.post("/v1/chat/completions", json=wish(asked(video, question)))
        return str(sent.json()["choices"][0]["message"]["content"])

    one_by_one = [ask(question) for question in questions]
    with ThreadPoolExecutor(len(questions)) as pool:
        assert list(pool.map(ask, questions)) == one_by_one


def test_who_hangs_up_leaves_nothing_running(http: httpx.Client, video: str, service: ChatService) -> None:
    before = service.engine.state.tokens
    body = wish(asked(video), max_tokens=4000, stream=True)
    with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        lines = answer.iter_lines()
        while '"content": "' not in next(lines) or service.engine.state.tokens < before + 3:
            pass
    http.post("/v1/chat/completions", json=wish(asked(video)))
    for _ in range(1000):
        if service.engine.state.running == 0:
            break
        http.get("/healthz")
    assert service.engine.state.running == 0
    assert service.engine.state.tokens < before + 3500


def test_an_owner_finds_nothing_of_anothers(address: str, video: str) -> None:
    # A browser with a cookie of its own is somebody else than the programs of this machine.
    with httpx.Client(base_url=address, timeout=120) as stranger:
        stranger.get("/healthz")
        assert stranger.cookies
        assert stranger.get(f"/v1/videos/{video}").status_code == 404
        refused = stranger.post("/v1/chat/completions", json=wish(asked(video)))
    assert refused.status_code == 404
    assert refused.json()["error"]["param"] == "messages[0].content[0].video_url.url"


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"model": "gpt"}, 404, "no model 'gpt' here: 'tiny', 'other' are served"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "Yes."}]}, 400, "last message must be the user's"),
        ({"messages": [{"role": "user", "content": " "}]}, 400, "asks nothing"),
        ({"messages": asked("https://example.org/a.mp4")}, 400, ""),
        ({"messages": asked("data:video/mp4;base64,####")}, 400, ""),
        ({"messages": asked("data:text/html;base64,PGI+aGk8L2I+")}, 415, "neither a video nor an image"),
        ({"messages": asked("../../etc/passwd")}, 404, "no such upload"),
        ({"messages": asked("file:///etc/passwd")}, 400, ""),
        ({"n": 2}, 400, "n"),
        ({"temperature": 3}, 400, "temperature"),
        ({"tools": [{"type": "function"}]}, 400, "tools"),
        ({"unheard_of": 1}, 400, "unheard_of"),
        ({"max_tokens": 0}, 400, "max_tokens"),
    ],
)
def test_what_cannot_be_honoured_is_refused_in_openais_shape(
    http: httpx.Client, change: dict[str, Any], status: int, told: str
) -> None:
    body = wish([{"role": "user", "content": "Hello?"}]) | change
    refused = http.post("/v1/chat/completions", json=body)
    assert refused.status_code == status, refused.text
    error = refused.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert told in error["message"] or told == error["param"]
    assert "\n" not in error["message"]


def test_a_file_that_cannot_be_read_is_named_as_its_owner_names_it(
    http: httpx.Client, clips: dict[str, Path]
) -> None:
    broken = clips["one.mp4"].read_bytes()[:600]
    id = http.post("/v1/videos?name=mine.mp4", content=broken).json()["id"]
    refused = http.post("/v1/chat/completions", json=wish(asked(id)))
    assert refused.status_code == 422
    assert refused.json()["error"]["code"] == "unreadable_video"
    assert refused.json()["error"]["message"].startswith("mine.mp4")
    streamed = http.post("/v1/chat/completions", json=wish(asked(id), stream=True))
    events = [line for line in streamed.text.splitlines() if line.startswith("data: ")]
    assert json.loads(events[-2].removeprefix("data: "))["error"]["code"] == "unreadable_video"
    assert events[-1] == "data: [DONE]"


def test_a_prompt_that_is_too_long_says_so(http: httpx.Client) -> None:
    long = wish([{"role": "user", "content": "And then? " * 5000}])
    refused = http.post("/v1/chat/completions", json=long)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
