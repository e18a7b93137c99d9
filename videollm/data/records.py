r"""The one form that training and evaluation read: a conversation about some media, a line of JSON each.

    {"id": "a-1", "media": [{"type": "video", "path": "clips/a.mp4", "start_s": 0, "end_s": 12.5}],
     "messages": [{"role": "user", "content": "<video>\nWhat happens?"},
                  {"role": "assistant", "content": "A red star moves left."}],
     "kind": "action", "options": null, "events": null, "source": "my.json:12"}

In what the user says ``<video>`` marks where each medium stands, in the order of ``media``, images too; one that is
text is written ``\<video>``. What others say is text.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ..model.prompting import count_marks
from ..values import Message
from .problems import RowError, counted

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MediaFile(_Value):
    """A video or image file that a conversation is about.

    Attributes:
        type: ``"video"`` or ``"image"``.
        path: The file; a relative one is looked for beside the data file.
        start_s: Start of the stretch that counts, in seconds; ``None`` for the start of the video.
        end_s: End of that stretch.
    """

    type: Literal["video", "image"] = "video"
    path: str = Field(min_length=1)
    start_s: Seconds | None = None
    end_s: Seconds | None = None

    @model_validator(mode="after")
    def _check_window(self) -> MediaFile:
        if self.start_s is not None and self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s must be after start_s, got {self.start_s:g} to {self.end_s:g}")
        if self.type == "image" and not (self.start_s is None and self.end_s is None):
            raise ValueError("an image has no start_s and no end_s")
        return self


class Turn(_Value):
    """One message of a conversation.

    Attributes:
        role: ``"system"``, ``"user"`` or ``"assistant"``.
        content: Its text; ``<video>`` marks where a medium stands.
        train: Whether its words are learnt; ``None`` means yes for the assistant's. Only those can be.
    """

    role: Literal["system", "user", "assistant"]
    content: str
    train: bool | None = None

    @property
    def learnt(self) -> bool:
        """Whether training learns to say this."""
        return self.role == "assistant" and self.train is not False

    @model_validator(mode="after")
    def _check_train(self) -> Turn:
        if self.train and self.role != "assistant":
            raise ValueError(f"only what the assistant says is learnt, train is true for {self.role}")
        return self


class Record(_Value):
    """A conversation about media, with what is needed to learn from it or to score an answer to it.

    Attributes:
        id: Names the record in reports.
        media: The files, in the order of their marks.
        messages: An optional system message, then user and assistant in turn; the last is the assistant's.
        kind: Kind of question, for accuracies by kind.
        options: What the last answer is one of, for multiple choice.
        events: ``(start_s, end_s, text)`` of timed text.
        source: Where it came from.
    """

    id: str = Field(min_length=1)
    media: tuple[MediaFile, ...] = ()
    messages: tuple[Turn, ...]
    kind: str | None = None
    options: tuple[str, ...] | None = None
    events: tuple[tuple[Seconds, Seconds, str], ...] | None = None
    source: str | None = None

    @field_validator("events")
    @classmethod
    def _check_events(cls, events: Any) -> Any:
        for start_s, end_s, text in events or ():
            if end_s < start_s or not text.strip():
                raise ValueError(
                    f"an event needs a text and an end after its start, got {start_s:g} to {end_s:g} {text!r}"
                )
        return events

    @model_validator(mode="after")
    def _check(self) -> Record:
        _check_order([turn.role for turn in self.messages])
        _check_contents(self.messages)
        marks = sum(count_marks(turn.content) for turn in self.messages if turn.role == "user")
        if marks != len(self.media):
            raise ValueError(
                f"{counted(marks, '<video> mark')} for {len(self.media)} media; each medium needs one"
            )
        if self.options is not None:
            _check_options(self.options, self.messages[-1].content)
        return self

    @property
    def answer(self) -> str:
        """The last answer, which evaluation asks for."""
        return self.messages[-1].content

    @property
    def prompt(self) -> tuple[Message, ...]:
        """The messages before the last answer."""
        return tuple(Message(turn.role, turn.content) for turn in self.messages[:-1])

    def to_json(self) -> str:
        """Returns the record as one line of JSON; what has its usual value is left out."""
        return self.model_dump_json(exclude_none=True)


def make_record(fields: dict[str, Any]) -> Record:
    """Returns the record of these fields.

    Raises:
        RowError: They are no record; the text is one line that names the first thing that is wrong.
    """
    try:
        return Record.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] not in ("value_error", "missing"):
            message += f", got {short(first['input'])}"
        raise RowError(f"{place}: {message}" if place else message) from error


def short(value: Any, most: int = 60) -> str:
    """Returns ``repr(value)`` in one line of limited length, as error messages show what they got."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 2]} …"


def _check_order(roles: list[str]) -> None:
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    wanted = ["user", "assistant"] * (len(spoken) // 2)
    if not spoken or spoken != wanted:
        raise ValueError(
            "messages must be user and assistant in turn, the last the assistant's, after a system message at most; "
            f"got {', '.join(roles) or 'none'}"
        )


def _check_contents(messages: tuple[Turn, ...]) -> None:
    for number, turn in enumerate(messages):
        if not turn.content.strip():
            raise ValueError(f"messages.{number}: what the {turn.role} says is empty")
    if not any(turn.learnt for turn in messages):
        raise ValueError("no message is learnt: train is false for every one of the assistant's")


def _check_options(options: tuple[str, ...], answer: str) -> None:
    if len(options) < 2 or len(set(options)) < len(options) or not all(option.strip() for option in options):
        raise ValueError(f"options must be two or more different texts, got {short(options)}")
    if answer not in options:
        raise ValueError(f"the last answer must be one of the options, got {short(answer)}")
