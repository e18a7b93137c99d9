"""What requests to ``/v1/chat/completions`` and ``/v1/descriptions`` may say.

The first has OpenAI's names, and what videos need besides.

Fields of OpenAI's API that this server cannot honour may have the values that ask for nothing; anything else is
refused, so that nobody believes a wish was heard that was not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class _Strict(BaseModel):
    # JSON as Python reads it knows NaN and Infinity, which mean nothing here.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Look(_Strict):
    """How a video is looked at; what is left out is as the model has it."""

    start_s: float | None = Field(None, ge=0, description="Start of the part that is looked at, in seconds.")
    end_s: float | None = Field(None, gt=0, description="End of that part, in seconds.")
    fps: float | None = Field(None, gt=0, le=60, description="Frames looked at in each second.")
    max_frames: int | None = Field(None, ge=1, le=4096, description="Most frames of the video.")
    max_visual_tokens: int | None = Field(
        None, ge=1, le=65536, description="Most visual tokens of the video."
    )


class VideoUrl(Look):
    """Where a video is, and how it is looked at."""

    url: str = Field(
        min_length=1,
        description="Id of an upload to `/v1/videos`, a `data:` URL, or an http(s) URL of a host that is allowed.",
    )


class ImageUrl(_Strict):
    """Where an image is."""

    url: str = Field(min_length=1, description="As for videos.")
    detail: Literal["auto", "low", "high"] | None = Field(None, description="Without effect.")


class TextPart(_Strict):
    """Text."""

    type: Literal["text"]
    text: str


class VideoPart(_Strict):
    """A video."""

    type: Literal["video_url"]
    video_url: VideoUrl


class ImagePart(_Strict):
    """An image."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | VideoPart | ImagePart, Field(discriminator="type")]


class SystemMessage(_Strict):
    """What the model is told beforehand."""

    role: Literal["system", "developer"]
    content: str | list[TextPart]
    name: str | None = None


class UserMessage(_Strict):
    """What a person says, with videos and images."""

    role: Literal["user"]
    content: str | list[Part]
    name: str | None = None


class AssistantMessage(_Strict):
    """What the model has said."""

    role: Literal["assistant"]
    content: str | list[TextPart]
    name: str | None = None
    refusal: None = None
    # What clients send back of an answer as they got it.
    tool_calls: list[Any] | None = Field(None, max_length=0)
    function_call: None = None
    audio: None = None
    annotations: list[Any] | None = Field(None, max_length=0)
    videollm: dict[str, Any] | None = Field(None, description="Sent back by clients; without effect.")


Said = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class StreamOptions(_Strict):
    """How an answer is streamed."""

    include_usage: bool = Field(False, description="Whether a last chunk says what the answer cost.")
    include_obfuscation: Literal[False] | None = None


class PlainText(_Strict):
    """The only format of answers."""

    type: Literal["text"]


class Extension(Look):
    """What OpenAI's API has no name for; of videos, where the video itself does not say."""

    repetition_penalty: float | None = Field(None, gt=0, le=10, description="Above 1 discourages repeating.")


class ChatRequest(_Strict):
    """A request to ``/v1/chat/completions``."""

    model: str = Field(description="A name that `/v1/models` lists.")
    messages: list[Said] = Field(min_length=1, max_length=1000)
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_completion_tokens: int | None = Field(None, ge=1)
    max_tokens: int | None = Field(None, ge=1, description="Older name of `max_completion_tokens`.")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: int | None = Field(None, ge=0, lt=2**63)
    videollm: Extension = Extension()

    n: Literal[1] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    response_format: PlainText | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    modalities: list[Literal["text"]] | None = None
    store: Literal[False] | None = None
    # Of no consequence to an answer.
    parallel_tool_calls: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None


class DescriptionRequest(_Strict):
    """A request to ``/v1/descriptions``."""

    model: str = Field(description="A name that `/v1/models` lists.")
    video: str = Field(
        min_length=1,
        description="Id of an upload to `/v1/videos`, a `data:` URL, or an http(s) URL of a host that is allowed.",
    )
    detail: Literal["brief", "normal", "dense"] = Field(
        "normal",
        description="`normal` for a text about each shot, `dense` for one about every five seconds or fewer of it, "
        "`brief` for one about as many shots as the model can look at together.",
    )
    every_s: float | None = Field(
        None, gt=0, description="Seconds that each text is about, instead of shots; only with `normal`."
    )
    style: str | None = Field(None, description="Name of one of the model's questions about a stretch.")
    start_s: float | None = Field(None, ge=0, description="Start of the part that is described, in seconds.")
    end_s: float | None = Field(None, gt=0, description="End of that part, in seconds.")
    max_tokens: int | None = Field(None, ge=1, le=2**31, description="Most tokens of each text.")
    format: Literal["json", "srt", "vtt", "md"] = "json"
    stream: bool = Field(False, description="Whether texts are sent as they are known; only with `json`.")
