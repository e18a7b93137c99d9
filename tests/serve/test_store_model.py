"""Whatever is done to a store in whatever order, it holds what a few dictionaries would hold."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from videollm.values import Span
from videollm_serve.store.errors import LimitError, NotFoundError
from videollm_serve.store.store import Store
from videollm_serve.store.values import Conversation, ConversationSummary, Medium, Swept, Turn, Upload

RETENTION_S = 20
MOST_CONVERSATIONS, MOST_TURNS = 3, 4

owners = st.sampled_from(["ann", "ben"])
# Unicode that can be written; short, with line breaks, quotes and the end of C strings among it.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["\x00'\";--", "a\nb", ""]
)
options = st.dictionaries(texts, st.none() | st.integers(-5, 5) | texts, max_size=2)
spans = st.builds(Span, *[st.floats(0, 1e6)] * 3, st.integers(0, 3))
turns = st.builds(
    Turn,
    st.none() | texts,
    texts,
    failed=st.booleans(),
    remembered=st.booleans(),
    stopped=st.booleans(),
    evidence=st.lists(spans, max_size=2).map(tuple),
    usage=st.none() | options,
)
picks = st.integers(0, 9)


@dataclass
class Talk:
    """A conversation in the model."""

    owner: str
    id: str
    model: str
    created_s: float
    updated_s: float
    number: int
    given_title: str = ""
    media: list[Medium] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)

    @property
    def title(self) -> str:
        questions = [turn.question for turn in self.turns if turn.question is not None]
        names = [medium.name for medium in self.media]
        titles = (" ".join(text.split()) for text in (self.given_title, *questions[:1], *names[:1]))
        return next(filter(None, titles), "")


def summary_of(talk: Talk) -> ConversationSummary:
    return ConversationSummary(talk.id, talk.title, talk.updated_s, len(talk.turns))


class StoreMachine(RuleBasedStateMachine):
    """Two owners, one store, one model; ids are taken from those of both owners, and one that never was."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.now_s = 1_000.0
        self.numbers = itertools.count()
        self.talks: dict[str, Talk] = {}
        self.uploads: dict[str, tuple[Upload, bytes]] = {}
        self.store = self.open()

    def open(self) -> Store:
        return Store(
            self.directory,
            retention_s=RETENTION_S,
            most_conversations=MOST_CONVERSATIONS,
            most_turns=MOST_TURNS,
            clock=lambda: self.now_s,
        )

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.directory)

    def pick(self, known: dict[str, Any], place: int) -> str:
        """An id of those that there are, or one that never was."""
        return [*known, "never-was"][place % (len(known) + 1)]

    def talk_of(self, owner: str, id: str) -> Talk | None:
        talk = self.talks.get(id)
        return talk if talk is not None and talk.owner == owner else None

    def upload_of(self, owner: str, id: str) -> tuple[Upload, bytes] | None:
        found = self.uploads.get(id)
        return found if found is not None and found[0].owner == owner else None

    def talks_of(self, owner: str) -> list[Talk]:
        own = [talk for talk in self.talks.values() if talk.owner == owner]
        return sorted(own, key=lambda talk: (talk.updated_s, talk.number), reverse=True)

    @initialize()
    def begin(self) -> None:
        for place, owner in enumerate(("ann", "ben", "ann")):
            self.create(owner, "pocket")
            self.bring(owner, "clip.mp4", b"moving")
            self.append(owner, place, Turn("What happens?"))
            self.add_medium(owner, place, place, {})

    @rule(owner=owners, model=texts)
    def create(self, owner: str, model: str) -> None:
        if len(self.talks_of(owner)) == MOST_CONVERSATIONS:
            with pytest.raises(LimitError):
                self.store.conversations.create(owner, model)
            return
        id = self.store.conversations.create(owner, model)
        self.talks[id] = Talk(owner, id, model, self.now_s, self.now_s, next(self.numbers))

    @rule(owner=owners, place=picks, title=texts)
    def rename(self, owner: str, place: int, title: str) -> None:
        id = self.pick(self.talks, place)
        if (talk := self.talk_of(owner, id)) is None:
            with pytest.raises(NotFoundError):
                self.store.conversations.rename(owner, id, title)
            return
        talk.given_title = title.strip()
        assert self.store.conversations.rename(owner, id, title) == summary_of(talk)

    @rule(owner=owners, place=picks)
    def delete(self, owner: str, place: int) -> None:
        id = self.pick(self.talks, place)
        if self.talk_of(owner, id) is None:
            with pytest.raises(NotFoundError):
                self.store.conversations.delete(owner, id)
            return
        self.store.conversations.delete(owner, id)
        del self.talks[id]

    @rule(owner=owners)
    def delete_all(self, owner: str) -> None:
        own = self.talks_of(owner)
        assert self.store.conversations.delete_all(owner) == len(own)
        for talk in own:
            del self.talks[talk.id]

    @rule(owner=owners, place=picks, turn=turns)
    def append(self, owner: str, place: int, turn: Turn) -> None:
        self.now_s += 1
        id = self.pick(self.talks, place)
        talk = self.talk_of(owner, id)
        if talk is None or len(talk.turns) == MOST_TURNS:
            with pytest.raises(LimitError if talk else NotFoundError):
                self.store.conversations.append(owner, id, turn)
            return
        assert self.store.conversations.append(owner, id, turn) == len(talk.turns)
        talk.turns.append(replace(turn, created_s=self.now_s))
        talk.updated_s = self.now_s

    @rule(owner=owners, place=picks, turn=turns)
    def replace_last(self, owner: str, place: int, turn: Turn) -> None:
        self.now_s += 1
        id = self.pick(self.talks, place)
        talk = self.talk_of(owner, id)
        if talk is None or not talk.turns:
            with pytest.raises(NotFoundError):
                self.store.conversations.replace_last(owner, id, turn)
            return
        self.store.conversations.replace_last(owner, id, turn)
        talk.turns[-1] = replace(turn, created_s=talk.turns[-1].created_s)
        talk.updated_s = self.now_s

    @rule(owner=owners, place=picks, position=st.integers(-1, MOST_TURNS))
    def truncate(self, owner: str, place: int, position: int) -> None:
        id = self.pick(self.talks, place)
        talk = self.talk_of(owner, id)
        if talk is None or position not in range(len(talk.turns)):
            with pytest.raises(NotFoundError):
                self.store.conversations.truncate(owner, id, position)
            return
        self.store.conversations.truncate(owner, id, position)
        del talk.turns[position:]
        talk.media = [replace(medium, turn=min(medium.turn, position)) for medium in talk.media]
        talk.updated_s = self.now_s

    @rule(owner=owners, place=picks, upload_place=picks, options=options)
    def add_medium(self, owner: str, place: int, upload_place: int, options: dict[str, Any]) -> None:
        id, upload_id = self.pick(self.talks, place), self.pick(self.uploads, upload_place)
        talk, upload = self.talk_of(owner, id), self.upload_of(owner, upload_id)
        if talk is None or upload is None:
            with pytest.raises(NotFoundError):
                self.store.conversations.add_medium(owner, id, upload_id, options)
            return
        medium = Medium(upload_id, upload[0].name, options, turn=len(talk.turns))
        assert self.store.conversations.add_medium(owner, id, upload_id, options) == medium
        talk.media.append(medium)
        talk.updated_s = self.now_s

    @rule(owner=owners, place=picks, position=st.integers(-1, 2), options=options)
    def set_options(self, owner: str, place: int, position: int, options: dict[str, Any]) -> None:
        id = self.pick(self.talks, place)
        talk = self.talk_of(owner, id)
        if talk is None or position not in range(len(talk.media)):
            with pytest.raises(NotFoundError):
                self.store.conversations.set_options(owner, id, position, options)
            return
        self.store.conversations.set_options(owner, id, position, options)
        talk.media[position] = replace(talk.media[position], options=options)
        talk.updated_s = self.now_s

    @rule(owner=owners, name=texts, content=st.binary(max_size=9))
    def bring(self, owner: str, name: str, content: bytes) -> None:
        file = self.store.uploads.incoming / "new"
        file.write_bytes(content)
        upload = self.store.uploads.add(owner, name, "video/mp4", "video", len(content), "00", file)
        expected = (owner, name, len(content), self.now_s, self.now_s + RETENTION_S)
        assert (upload.owner, upload.name, upload.size, upload.created_s, upload.expires_s) == expected
        self.uploads[upload.id] = (upload, content)

    @rule(owner=owners, place=picks)
    def take_away(self, owner: str, place: int) -> None:
        id = self.pick(self.uploads, place)
        if self.upload_of(owner, id) is None:
            with pytest.raises(NotFoundError):
                self.store.uploads.delete(owner, id)
            return
        self.store.uploads.delete(owner, id)
        del self.uploads[id]

    @precondition(lambda self: self.uploads)
    @rule(place=picks, stray=st.booleans())
    def lose_and_sweep(self, place: int, stray: bool) -> None:
        id = list(self.uploads)[place % len(self.uploads)]
        (self.directory / "uploads" / id).unlink()
        if stray:
            (self.directory / "uploads" / ("s" * 22)).write_bytes(b"stray")
        assert self.store.uploads.sweep(self.now_s - RETENTION_S * 10) == Swept(0, int(stray), 1)
        del self.uploads[id]

    @rule(seconds=st.integers(0, RETENTION_S))
    def wait_and_sweep(self, seconds: int) -> None:
        self.now_s += seconds
        over = [id for id, (upload, _) in self.uploads.items() if upload.expires_s <= self.now_s]
        assert {upload.id for upload in self.store.uploads.expired(self.now_s)} == set(over)
        assert self.store.uploads.sweep(self.now_s) == Swept(expired=len(over))
        for id in over:
            del self.uploads[id]

    @rule()
    def open_again(self) -> None:
        self.store.close()
        self.store = self.open()

    @invariant()
    def each_owner_sees_what_the_model_says(self) -> None:
        for owner in ("ann", "ben"):
            talks = self.talks_of(owner)
            assert self.store.conversations.list(owner) == tuple(summary_of(talk) for talk in talks)
            for talk in talks:
                media = tuple(
                    medium if medium.upload in self.uploads else replace(medium, upload=None)
                    for medium in talk.media
                )
                assert self.store.conversations.get(owner, talk.id) == Conversation(
                    talk.id, talk.title, talk.model, talk.created_s, talk.updated_s, media, tuple(talk.turns)
                )
            uploads = tuple(upload for upload, _ in self.uploads.values() if upload.owner == owner)
            assert self.store.uploads.list(owner) == uploads
            assert self.store.uploads.used(owner) == sum(upload.size for upload in uploads)
        for upload, content in self.uploads.values():
            assert self.store.uploads.path(upload.owner, upload.id).read_bytes() == content
        assert len(list((self.directory / "uploads").iterdir())) == len(self.uploads)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
