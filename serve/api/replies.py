"""What answers of the API look like, for the document that describes it; its tests hold the answers against this."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorDetail(_Reply):
    """What was wrong."""

    message: str = Field(description="One line for a person.")
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "rate_limit_error",
        "server_error",
    ]
    param: str | None = Field(description="Which field of the request was wrong.")
    code: str | None = Field(description="A word for programs.")


class Error(_Reply):
    """A request that was not served."""

    error: ErrorDetail


class PromptDetails(_Reply):
    """What the prompt was made of."""

    cached_tokens: int = Field(description="Tokens that had been read with an earlier question.")
    visual_tokens: int = Field(description="Tokens that stand for what is seen.")


class Cost(_Reply):
    """What was spent, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails


class Evidence(_Reply):
    """Seconds of the video that an answer rests on."""

    start_s: float
    end_s: float
    score: float = Field(description="Share of the evidence that lies there, 0 to 1.")
    video: int = Field(description="Which of the request's videos and images, from 0.")


class AnswerExtension(_Reply):
    """What OpenAI's API has no name for."""

    evidence: list[Evidence]
    notices: list[str] = Field(description="What a person should know besides, as signs of damage.")
    frames: int = Field(description="Frames that were looked at.")
    seconds: dict[str, float] = Field(description="Seconds of each phase of the work.")


class SaidMessage(_Reply):
    """The answer."""

    role: Literal["assistant"]
    content: str
    refusal: None


Reason = Literal["stop", "length"]


class Choice(_Reply):
    """The one answer there is."""

    index: Literal[0]
    message: SaidMessage
    finish_reason: Reason
    logprobs: None


class ChatCompletion(_Reply):
    """An answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Cost
    videollm: AnswerExtension


class Delta(_Reply):
    """What is new of an answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None


class ChunkChoice(_Reply):
    """What is new of the one answer there is."""

    index: Literal[0]
    delta: Delta
    finish_reason: Reason | None
    logprobs: None


class ChatCompletionChunk(_Reply):
    """A piece of an answer that is streamed; the last but one of them has `videollm`, the last `usage` if asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Cost | None = None
    videollm: AnswerExtension | None = None


class Model(_Reply):
    """A model that answers."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    description: str


class ModelList(_Reply):
    """The models that answer."""

    object: Literal["list"]
    data: list[Model]


class Video(_Reply):
    """A file that was brought."""

    id: str
    object: Literal["video"]
    name: str
    mime: str
    kind: Literal["video", "image"]
    size: int
    sha256: str
    created_s: float = Field(description="In seconds since 1970.")
    expires_s: float = Field(description="When it may be removed, in seconds since 1970.")
    url: str = Field(description="Where it can be looked at.")


class VideoList(_Reply):
    """The files that were brought, oldest first."""

    object: Literal["list"]
    data: list[Video]


class VideoDeleted(_Reply):
    """A file that was removed."""

    id: str
    object: Literal["video"]
    deleted: Literal[True]


class TimedText(_Reply):
    """What happens from when to when."""

    start_s: float
    end_s: float
    text: str


class Description(_Reply):
    """A description; the last object of a stream too."""

    id: str
    object: Literal["description"]
    created: int
    model: str
    summary: str
    events: list[TimedText] = Field(description="In order of time and without gaps.")
    usage: Cost
    notices: list[str]
    frames: int = Field(description="Frames that were looked at.")
    seconds: dict[str, float] = Field(description="Seconds of each phase of the work.")


class DescriptionEvent(_Reply):
    """A text of a description that is streamed."""

    id: str
    object: Literal["description.event"]
    created: int
    model: str
    event: TimedText


class Health(_Reply):
    """Whether the server answers."""

    status: Literal["ok"]
    model: str = Field(description="The model that answers where nobody has chosen.")
    models: list[str] = Field(description="All models that answer.")
