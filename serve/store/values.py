"""The values that the store takes and gives: plain, frozen, comparable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from videollm.values import Span


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that an owner brought.

    Attributes:
        id: Its id, random.
        owner: Whose it is.
        name: What the owner calls it; never a path.
        mime: Its MIME type.
        kind: ``"video"`` or ``"image"``, as whoever looked into it says.
        size: Its bytes.
        sha256: SHA-256 of its bytes, in hexadecimal digits.
        created_s: When it came, in seconds since 1970.
        expires_s: When it may be removed, in seconds since 1970.
    """

    id: str
    owner: str
    name: str
    mime: str
    kind: str
    size: int
    sha256: str
    created_s: float
    expires_s: float


@dataclass(frozen=True, slots=True)
class Swept:
    """How much a sweep removed.

    Attributes:
        expired: Uploads whose time was over.
        strays: Files that no upload is known of.
        lost: Uploads whose file was missing or cut short.
    """

    expired: int = 0
    strays: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Medium:
    """A video or image of a conversation.

    Attributes:
        upload: Id of the upload; ``None`` once that was deleted or has expired.
        name: Its name, which stays.
        options: How it is read, as plain JSON types.
        turn: How many turns came before it, of any kind.
    """

    upload: str | None
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    turn: int = 0

    @property
    def gone(self) -> bool:
        """Whether there is nothing left to look at."""
        return self.upload is None


@dataclass(frozen=True, slots=True)
class KeptDescription:
    """What was found in an upload that was described.

    Attributes:
        wish: How it was to be described, as plain JSON types.
        description: The description, as plain JSON types.
        created_s: When it was kept, in seconds since 1970.
    """

    wish: dict[str, Any]
    description: dict[str, Any]
    created_s: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One exchange.

    Attributes:
        question: What was asked; ``None`` where the program speaks by itself.
        text: The answer, or what went wrong.
        failed: Whether ``text`` says what went wrong.
        remembered: Whether the model's own history held the exchange.
        stopped: Whether the answer was stopped before its end.
        evidence: Spans that the answer rests on, strongest first.
        usage: What it cost, as plain JSON types; ``None`` where nothing was computed.
        created_s: When it was appended, in seconds since 1970; the store sets it.
    """

    question: str | None
    text: str = ""
    failed: bool = False
    remembered: bool = False
    stopped: bool = False
    evidence: tuple[Span, ...] = ()
    usage: dict[str, Any] | None = None
    created_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A conversation in a list.

    Attributes:
        id: Its id, random.
        title: What it was renamed to, or else its first question, or else the name of its first medium; shortened, and
            empty where there is none of them.
        updated_s: When its media or turns last changed, in seconds since 1970.
        turns: How many turns it has.
    """

    id: str
    title: str
    updated_s: float
    turns: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation, whole.

    Attributes:
        id: Its id.
        title: As in :class:`ConversationSummary`.
        model: Name of the model that answers.
        created_s: When it began, in seconds since 1970.
        updated_s: As in :class:`ConversationSummary`.
        media: Its videos and images, in order.
        turns: Its turns, oldest first.
    """

    id: str
    title: str
    model: str
    created_s: float
    updated_s: float
    media: tuple[Medium, ...]
    turns: tuple[Turn, ...]
