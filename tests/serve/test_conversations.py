"""Conversations outlast their windows: what is kept goes on as if nothing had happened between."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videollm.media import ReadOptions
from videollm.model.modeling import VideoLLM
from videollm_serve.service.events import BroughtFile, Done, Event, Failed, Held, Reading, VideoReady
from videollm_serve.service.history import messages_of
from videollm_serve.service.prefixes import PrefixCaches
from videollm_serve.service.service import ChatService
from videollm_serve.service.session import ChatSession
from videollm_serve.service.shelf import Shelf
from videollm_serve.store.errors import NotFoundError
from videollm_serve.store.store import Store
from videollm_serve.store.values import Medium, Turn

AS_IS = ReadOptions()
CLIPS = ("one.mp4", "two.mp4", "still.png")

Bring = Callable[..., BroughtFile]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data", retention_s=3600) as store:
        yield store


@pytest.fixture
def bring(store: Store, clips: dict[str, Path]) -> Bring:
    """Makes a file an upload."""

    def bring(clip: str | Path, owner: str = "me") -> BroughtFile:
        path = clips[clip] if isinstance(clip, str) else clip
        (arrived := store.uploads.incoming / "arriving").write_bytes(path.read_bytes())
        size = arrived.stat().st_size
        upload = store.uploads.add(owner, path.name, "video/mp4", "video", size, "0" * 64, arrived)
        return BroughtFile(upload.id, upload.name, store.uploads.path(owner, upload.id))

    return bring


@pytest.fixture
def shelf(store: Store) -> Shelf:
    return Shelf(store.conversations)


@pytest.fixture
def mine(service: ChatService, shelf: Shelf) -> ChatSession:
    """My window."""
    return service.open("me", shelf)


def ask(session: ChatSession, question: str, options: ReadOptions = AS_IS) -> list[Event]:
    return list(session.ask(question, options, max_new_tokens=6))


def text_of(events: list[Event]) -> str:
    assert isinstance(events[-1], Done), events[-1]
    return events[-1].answer.text


def reopened(service: ChatService, store: Store, id: str, files: list[BroughtFile]) -> ChatSession:
    """The conversation in a server that has just been started."""
    session = service.open("me", Shelf(store.conversations))
    session.open(id)
    known = {file.id: file for file in files}
    events = list(session.set_media([known[id] for id in session.ids], session.options))
    assert not [event for event in events if isinstance(event, Failed)]
    return session


def heard(session: ChatSession) -> tuple[object, ...]:
    """What the model reads of a conversation before the next question."""
    places = [session.conversation._places[file.id] for file in session.conversation.files]
    return messages_of(session.turns, places, "?")


def kept_media(store: Store, session: ChatSession) -> tuple[Medium, ...]:
    return store.conversations.get("me", str(session.conversation_id)).media


def shown(session: ChatSession) -> list[Turn]:
    """What a person sees, but for when it was written."""
    return [
        Turn(turn.question, turn.text, turn.failed, turn.remembered, turn.stopped, turn.evidence)
        for turn in session.turns
    ]


@pytest.mark.parametrize("seed", range(4))
def test_after_a_restart_the_model_reads_and_says_what_it_would_have(
    service: ChatService, store: Store, mine: ChatSession, bring: Bring, seed: int
) -> None:
    chance = random.Random(seed)
    files = [bring(clip) for clip in CLIPS]
    brought: list[BroughtFile] = []
    for step in range(7):
        act = chance.choice(["bring", "ask", "ask", "undo", "rewind"]) if step else "bring"
        if act == "bring" and len(brought) < len(files):
            brought.append(files[len(brought)])
            list(mine.set_media(brought, AS_IS))
        elif act == "undo":
            mine.undo()
        elif act == "rewind":
            mine.rewind(chance.randrange(3))
        else:
            text_of(ask(mine, f"What of {step}?"))
    text_of(ask(mine, "And in the end?"))
    assert mine.conversation_id is not None
    again = reopened(service, store, mine.conversation_id, files)
    assert shown(again) == shown(mine)
    assert heard(again) == heard(mine)
    assert text_of(ask(again, "Why?")) == text_of(ask(mine, "Why?"))


def test_settings_of_the_look_come_back(
    service: ChatService, store: Store, mine: ChatSession, bring: Bring
) -> None:
    file = bring("one.mp4")
    list(mine.set_media([file], AS_IS))
    few = ReadOptions(max_frames=2, start_s=0.5)
    ask(mine, "What?", few)
    again = reopened(service, store, str(mine.conversation_id), [file])
    assert again.options == few
    assert [len(view.frames) for view in again.views] == [2]


def test_an_answer_that_the_server_did_not_live_to_end_says_so_and_can_be_asked_again(
    service: ChatService, store: Store, mine: ChatSession
) -> None:
    events = mine.ask("What?", AS_IS, max_new_tokens=6)
    next(events)
    again = reopened(service, store, str(mine.conversation_id), [])
    assert again.turns[-1].failed
    assert "server ended" in again.turns[-1].text
    assert again.undo() == "What?"
    assert [turn.question for turn in store.conversations.get("me", str(mine.conversation_id)).turns] == []


def test_what_was_stopped_is_kept_as_far_as_it_came(
    service: ChatService, store: Store, mine: ChatSession
) -> None:
    events = mine.ask("What?", AS_IS, max_new_tokens=200)
    next(events)
    mine.stop()
    list(events)
    assert mine.turns[-1].stopped
    assert shown(reopened(service, store, str(mine.conversation_id), [])) == shown(mine)


def test_two_windows_on_one_conversation_share_it(
    service: ChatService, shelf: Shelf, mine: ChatSession, bring: Bring
) -> None:
    list(mine.set_media([bring("one.mp4")], AS_IS))
    ask(mine, "What?")
    other = service.open("me", shelf)
    other.open(str(mine.conversation_id))
    assert other.views == mine.views
    ask(other, "And then?")
    assert [turn.question for turn in mine.turns] == ["What?", "And then?"]
    events = other.ask("Go on", AS_IS, max_new_tokens=200)
    next(events)
    mine.begin()  # leaves, and does not end what the other waits for
    assert not other.conversation.stopped
    assert text_of(list(events))


def test_a_conversation_of_somebody_else_is_not_there(
    service: ChatService, shelf: Shelf, mine: ChatSession
) -> None:
    ask(mine, "What?")
    other = service.open("another", shelf)
    with pytest.raises(NotFoundError, match="no such conversation"):
        other.open(str(mine.conversation_id))
    assert other.turns == ()


def test_a_conversation_that_was_deleted_elsewhere_goes_on_and_says_that_it_is_not_kept(
    store: Store, mine: ChatSession
) -> None:
    ask(mine, "What?")
    store.conversations.delete("me", str(mine.conversation_id))
    assert text_of(ask(mine, "And then?"))
    assert "not kept" in str(mine.problem)
    assert store.conversations.list("me") == ()


def test_nothing_stays_of_a_conversation_without_a_question(
    store: Store, mine: ChatSession, bring: Bring
) -> None:
    list(mine.set_media([bring("one.mp4")], AS_IS))
    assert [one.title for one in store.conversations.list("me")] == ["one.mp4"]
    mine.begin()
    assert store.conversations.list("me") == ()


def test_what_is_forgotten_is_forgotten_in_the_store_too(store: Store, mine: ChatSession) -> None:
    ask(mine, "What?")
    mine.forget()
    assert store.conversations.list("me") == ()
    ask(mine, "Another?")
    assert [one.title for one in store.conversations.list("me")] == ["Another?"]


def test_a_video_that_is_gone_is_named_and_the_talk_goes_on(
    service: ChatService, store: Store, mine: ChatSession, bring: Bring
) -> None:
    files = [bring("one.mp4"), bring("two.mp4")]
    list(mine.set_media(files, AS_IS))
    ask(mine, "What?")
    store.uploads.delete("me", files[0].id)
    again = reopened(service, store, str(mine.conversation_id), files)
    assert again.gone == ("one.mp4",)
    assert [view.file.name for view in again.views] == ["two.mp4"]
    assert text_of(ask(again, "And then?"))


def test_keys_and_values_of_all_windows_are_kept_up_to_a_number_of_bytes(
    service: ChatService, store: Store, bring: Bring
) -> None:
    shelf = Shelf(store.conversations)
    windows = [service.open("me", shelf) for _ in range(3)]
    files = [bring("one.mp4")]

    def cached(session: ChatSession, question: str) -> int:
        (done,) = [event for event in ask(session, question) if isinstance(event, Done)]
        return done.answer.usage.cached_tokens

    for window in windows:
        list(window.set_media(files, AS_IS))
        assert cached(window, "First?") == 0
    assert cached(windows[0], "Second?") > 0
    one = service.prefixes.nbytes // len(windows)
    service.prefixes._max_bytes = 2 * one
    assert cached(windows[0], "Third?") > 0
    assert service.prefixes.nbytes <= 2 * one
    assert cached(windows[1], "Second?") == 0


def test_another_model_goes_on_with_the_same_conversation(
    service: ChatService, tiny_model: VideoLLM, shelf: Shelf, bring: Bring
) -> None:
    other = ChatService(tiny_model, "other")
    try:
        mine, same = service.open("me", shelf), service.open("me", shelf)
        for session in (mine, same):
            list(session.set_media([bring("one.mp4")], AS_IS))
            ask(session, "What?")
        mine.choose(other.eyes)
        events = ask(mine, "And then?")
        assert [event for event in events if isinstance(event, VideoReady)], "it looks for itself"
        assert isinstance(events[-1], Done)
        assert events[-1].answer.usage.cached_tokens == 0
        assert events[-1].answer.text == text_of(ask(same, "And then?"))
        assert isinstance(other.prefixes, PrefixCaches)
        assert other.prefixes.nbytes > 0
    finally:
        other.close(grace_s=0)


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes, a frame a second."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=1, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for second in range(120):
            picture = np.full((48, 64, 3), second * 2, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = second, Fraction(1, 1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_long_video_is_told_about_before_it_is_read_and_a_question_reads_it(
    store: Store, mine: ChatSession, bring: Bring, long_video: Path
) -> None:
    file, still = bring(long_video), bring("still.png")
    events = list(mine.set_media([file, still], AS_IS, patience_s=0.0))
    assert events[-1] == Held(file)
    assert mine.views == ()
    assert [medium.upload for medium in kept_media(store, mine)] == [file.id], "a reload finds it"
    held = mine.held
    assert held is not None
    assert held.seconds > 0
    fewer = mine.held_with(ReadOptions(max_frames=held.frames // 2))
    assert fewer is not None
    assert fewer.frames == held.frames // 2
    assert fewer.seconds < held.seconds
    assert fewer.nbytes < held.nbytes
    part = mine.held_with(ReadOptions(start_s=10.0, end_s=20.0))
    assert part is not None
    assert part.window_s == pytest.approx(10.0)
    fewer = mine.held_with(ReadOptions(max_frames=held.frames // 2))
    assert fewer is not None
    answering = mine.ask_about([file, still], "What?", mine.options, max_new_tokens=6)
    assert next(answering) == Reading("long.mp4")
    assert mine.pending == "What?"
    list(answering)
    assert mine.pending is None
    assert mine.held is None
    assert [len(view.frames) for view in mine.views] == [fewer.frames, 1]
    assert mine.views[0].visual_tokens <= fewer.visual_tokens


def test_what_is_short_or_quick_to_read_is_read_at_once(
    mine: ChatSession, bring: Bring, long_video: Path
) -> None:
    list(mine.set_media([bring("one.mp4")], AS_IS, patience_s=0.0))
    list(mine.set_media([*mine.conversation.files, bring(long_video)], AS_IS, patience_s=math.inf))
    assert len(mine.views) == 2
    assert mine.held is None
