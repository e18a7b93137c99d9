"""What the API cannot do is said in one line of its own words, with the field that was wrong."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from videollm.errors import ContextOverflowError
from videollm.model.modeling import VideoLLM
from videollm_serve.api.wording import sentence
from videollm_serve.service.service import ChatService

from .serving import visiting_site

HELLO = {"role": "user", "content": "Hello?"}
JSON = {"Content-Type": "application/json"}


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
    """The id of a clip of 5.5 seconds."""
    return bring(http, clips["one.mp4"].read_bytes())


def bring(http: httpx.Client, content: bytes) -> str:
    return str(http.post("/v1/videos?name=a%20day.mp4", content=content).json()["id"])


def ask(http: httpx.Client, **fields: Any) -> httpx.Response:
    """Asks for a few words; escaped, so that half characters can be sent too."""
    body = {"model": "tiny", "messages": [HELLO], "max_tokens": 4, **fields}
    return http.post("/v1/chat/completions", content=json.dumps(body), headers=JSON)


def about(*videos: dict[str, Any]) -> list[Any]:
    """The messages of a question about videos."""
    parts = [{"type": "video_url", "video_url": video} for video in videos]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": "What happens?"}]}]


def error_of(answer: httpx.Response, status: int = 400) -> dict[str, Any]:
    """What a refusal says; checks that it has OpenAI's shape and is one line."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"].isprintable()
    return error


NOTHING_ELSE = "; nothing else is supported here"


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"model": None}, "model", "expected a string, got null"),
        ({"messages": "Hi"}, "messages", "expected a list, got 'Hi'"),
        ({"messages": []}, "messages", "expected a list of 1 or more items, got an empty list"),
        ({"max_tokens": "many"}, "max_tokens", "expected a whole number, got 'many'"),
        ({"max_tokens": 1.5}, "max_tokens", "expected a whole number, got 1.5"),
        ({"max_tokens": 0}, "max_tokens", "expected a number of at least 1, got 0"),
        ({"temperature": 3}, "temperature", "expected a number of at most 2, got 3"),
        ({"temperature": float("nan")}, "temperature", "expected a finite number, got nan"),
        ({"temperature": "x" * 9999}, "temperature", f"expected a number, got '{'x' * 40}'…"),
        ({"top_p": 0}, "top_p", "expected a number above 0, got 0"),
        (
            {"seed": 2**63},
            "seed",
            "expected a number below 9223372036854775808, got 9223372036854775808",
        ),
        ({"stop": 5}, "stop", "expected a string or a list, got 5"),
        ({"stop": {"str": 1}}, "stop", "expected a string or a list, got an object with 'str'"),
        ({"stop": list("abcde")}, "stop", "expected a list of at most 4 items, got a list of 5 items"),
        ({"stop": ["a", 5]}, "stop[1]", "expected a string, got 5"),
        ({"stream": "maybe"}, "stream", "expected true or false, got 'maybe'"),
        ({"stream_options": "all"}, "stream_options", "expected an object, got 'all'"),
        (
            {"stream_options": {"usage": True}},
            "stream_options.usage",
            "there is no such field here, got true; leave it out, or correct its name",
        ),
        ({"n": 2}, "n", f"expected 1, got 2{NOTHING_ELSE}"),
        ({"logprobs": True}, "logprobs", f"expected false, got true{NOTHING_ELSE}"),
        ({"tools": [{}]}, "tools", f"expected nothing in it, got a list of 1 item{NOTHING_ELSE}"),
        (
            {"response_format": {"type": "json_object"}},
            "response_format.type",
            f"expected 'text', got 'json_object'{NOTHING_ELSE}",
        ),
        ({"tool_choice": "required"}, "tool_choice", "expected 'none' or 'auto', got 'required'"),
        ({"metadata": {"a": 5}}, "metadata.a", "expected a string, got 5"),
        (
            {"videollm": {"fps": {"a": 1, "b": 2, "c": 3, "d": 4}}},
            "videollm.fps",
            "expected a number, got an object with 'a', 'b', 'c', …",
        ),
        (
            {"messages": [{"content": "Hi"}]},
            "messages[0].role",
            "this field is missing, got an object with 'content'; add it",
        ),
        (
            {"messages": [{"role": "tool", "content": "Hi"}]},
            "messages[0].role",
            "expected 'system', 'developer', 'user' or 'assistant', got 'tool'",
        ),
        ({"a\nb": 1}, r"'a\nb'", "there is no such field here, got 1; leave it out, or correct its name"),
        # Of several faults the first, in the order of the document.
        ({"max_tokens": 0, "messages": about({})}, "messages[0].content[0].video_url.url", ""),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected_and_what_to_do(
    http: httpx.Client, fields: dict[str, Any], param: str, told: str
) -> None:
    error = error_of(ask(http, **fields))
    assert (error["param"], error["code"]) == (param, "invalid")
    assert error["message"].startswith(f"{param}: {told}")


@pytest.mark.parametrize(
    ("content", "param", "told"),
    [
        (
            [{"type": "text", "text": "a"}, {"type": "video_url", "video_url": {}}],
            "[1].video_url.url",
            "missing",
        ),
        ([{"type": "video_url", "video_url": {"url": 5}}], "[0].video_url.url", "expected a string, got 5"),
        (
            [{"type": "video_url", "video_url": {"url": "a", "fps": 99}}],
            "[0].video_url.fps",
            "at most 60, got 99",
        ),
        ([{"type": "video_url", "video_url": "a"}], "[0].video_url", "expected an object, got 'a'"),
        (
            [{"type": "image_url", "image_url": {"url": ""}}],
            "[0].image_url.url",
            "1 or more characters, got ''",
        ),
        ([{"type": "text", "text": "a", "more": 1}], "[0].more", "no such field"),
        ([{"type": "text"}], "[0].text", "missing, got an object with 'type'"),
        ([{"text": "a"}], "[0].type", "missing, got an object with 'text'"),
        ([{"type": "audio"}], "[0].type", "expected 'text', 'video_url' or 'image_url', got 'audio'"),
        ([{"type": "text"}, {"type": "audio"}, 5], "[0].text", "missing"),
        ([5], "[0]", "expected an object, got 5"),
        (5, "", "expected a string or a list, got 5"),
        (None, "", "expected a string or a list, got null"),
    ],
)
def test_a_part_of_a_message_has_one_fault_named_as_it_was_sent(
    http: httpx.Client, content: Any, param: str, told: str
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": content}]
    error = error_of(ask(http, messages=messages))
    assert error["param"] == f"messages[1].content{param}"
    assert error["message"].startswith(f"{error['param']}: ")
    assert told in error["message"]


@pytest.mark.parametrize(
    ("body", "type", "got"),
    [
        ('{"model": ', "application/json", "text that is no JSON from character 11 on (Expecting value)"),
        ("", "application/json", "no body"),
        ("[]", "application/json", "an empty list"),
        ("null", "application/json", "null"),
        ('"{}"', "application/json", "'{}'"),
        ("{}", "text/plain", "a body of type 'text/plain'"),
        (b'{"model": "\xff"}', "application/json", "text that is not UTF-8"),
        ("[" * 100_000, "application/json", "lists and objects too deep within one another"),
        ('{"seed": ' + "9" * 5000 + "}", "application/json", "a number with too many digits"),
        (r'{"\ud800": 1}', "application/json", r"'\ud800'"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/descriptions"])
def test_what_is_no_json_object_is_said_to_be_none(
    http: httpx.Client, path: str, body: str | bytes, type: str, got: str
) -> None:
    error = error_of(http.post(path, content=body, headers={"Content-Type": type}))
    assert (error["param"], error["code"]) == (None, "invalid")
    assert error["message"].startswith("the request: expected a ")
    assert error["message"].endswith(f", got {got}")


def test_a_body_without_a_type_is_told_which_it_needs(http: httpx.Client) -> None:
    error = error_of(http.post("/v1/descriptions", content=b"{}"))
    assert error["message"].endswith("with Content-Type: application/json, got a body without a type")


def test_what_pydantic_alone_has_words_for_is_said_in_them_on_one_line() -> None:
    assert sentence([{"type": "new_kind", "msg": "Input is\n odd", "input": 5}], 5) == "Input is odd"


@pytest.mark.parametrize(
    ("messages", "param", "told"),
    [
        ([HELLO, {"role": "assistant", "content": "Yes."}], "messages[1].role", "got the assistant's"),
        ([HELLO, {"role": "system", "content": "Be brief."}], "messages[1].role", "before all others"),
        ([{"role": "assistant", "content": "Yes."}, HELLO], "messages[0].role", "got the assistant's"),
        ([{"role": "system", "content": "Be brief."}], "messages[0].role", "got the system's"),
        (
            [{"role": "system", "content": "a"}, {"role": "user", "content": " "}],
            "messages[1].content",
            "asks",
        ),
        ([{"role": "user", "content": "And then? " * 5000}], "messages", "40006 tokens"),
        (about(*[{"url": "some"}] * 9), "messages", "8 videos and images, got 9"),
    ],
)
def test_a_conversation_that_cannot_go_on_is_told_where_it_stops(
    http: httpx.Client, messages: list[Any], param: str, told: str
) -> None:
    error = error_of(ask(http, messages=messages))
    assert error["param"] == param
    assert told in error["message"]


@pytest.mark.parametrize(
    ("said", "everywhere", "param", "told"),
    [
        ({"url": "nothing-of-yours"}, {}, "messages[0].content[1].video_url.url", "no such upload"),
        ({"url": "data:video/mp4;base64,####"}, {}, "messages[0].content[1].video_url.url", "base64"),
        ({"start_s": 5, "end_s": 2}, {}, "messages[0].content[1].video_url.end_s", "end after it starts"),
        ({"start_s": 5}, {"end_s": 2}, "videollm.end_s", "end after it starts"),
        ({"start_s": 99}, {"end_s": 100}, "messages[0].content[1].video_url.start_s", "a day.mp4 lasts only"),
        ({}, {"start_s": 99}, "videollm.start_s", "a day.mp4 lasts only"),
    ],
)
def test_of_several_videos_the_one_that_is_wrong_is_named(
    http: httpx.Client, video: str, said: dict[str, Any], everywhere: dict[str, Any], param: str, told: str
) -> None:
    messages = about({"url": video, "start_s": 0}, {"url": video, **said})
    answer = ask(http, messages=messages, videollm=everywhere)
    error = error_of(answer, 404 if "such" in told else 400)
    assert error["param"] == param
    assert told in error["message"]


def test_of_two_files_of_one_name_the_one_that_cannot_be_read_is_named(
    http: httpx.Client, video: str, clips: dict[str, Path]
) -> None:
    broken = clips["one.mp4"].read_bytes()[:600]
    messages = about({"url": video}, {"url": bring(http, broken)})
    error = error_of(ask(http, messages=messages), 422)
    assert error["param"] == "messages[0].content[1].video_url.url"
    assert error["message"].startswith("a day.mp4: ")
    streamed = ask(http, messages=messages, stream=True).text.splitlines()
    events = [line.removeprefix("data: ") for line in streamed if line.startswith("data: ")]
    assert json.loads(events[-2]) == {"error": error}
    brought = f"data:video/mp4;base64,{base64.b64encode(broken).decode()}"
    error = error_of(ask(http, messages=about({"url": brought})), 422)
    assert error["message"].startswith("messages[0].content[0].video_url.url: ")


class _Overflowing:
    """A description whose texts leave no room for its summary."""

    def __iter__(self) -> Iterator[Any]:
        raise ContextOverflowError("the prompt takes too many tokens")

    def stop(self) -> None:
        """Has nothing to end."""


@pytest.mark.parametrize(("length", "param"), [({"max_tokens": 2**31}, "max_tokens"), ({}, None)])
def test_texts_that_are_too_long_for_a_summary_are_laid_to_their_length(
    http: httpx.Client,
    video: str,
    service: ChatService,
    monkeypatch: pytest.MonkeyPatch,
    length: dict[str, int],
    param: str | None,
) -> None:
    monkeypatch.setattr(ChatService, "describe", lambda *wish: _Overflowing())
    refused = http.post("/v1/descriptions", json={"model": "tiny", "video": video, **length})
    assert error_of(refused)["param"] == param
