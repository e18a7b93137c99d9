"""The tab "Describe": what a description tells becomes what a person sees, takes away and finds again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import gradio as gr
import pytest
from starlette.requests import Request

from videollm import describe_video, load_model
from videollm.describe.subtitle_files import srt, vtt
from videollm.model.modeling import VideoLLM
from videollm_serve.service.models import Models
from videollm_serve.service.service import ChatService
from videollm_serve.store.store import Store
from videollm_serve.store.values import Upload
from videollm_serve.ui import describe_panel as panel
from videollm_serve.ui.describe_handlers import Change, DescribeHandlers
from videollm_serve.ui.describe_sheets import EVERY, Wish
from videollm_serve.ui.describe_state import DescribeState, end_describing
from videollm_serve.ui.describe_tab import build_describe_tab
from videollm_serve.ui.describe_widgets import DescribeTab

from .described_html import Found, content_of

NORMAL = ("normal", None, "tiny")
EACH_PART = (EVERY, 2.0, "tiny")

Bring = Callable[..., Upload]


@pytest.fixture(autouse=True)
def _short_texts(tiny_model: VideoLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every sixth token end a text: none ends by itself."""
    ends = [*tiny_model.generation_config.eos_token_id, *range(11, 400, 6)]
    monkeypatch.setattr(tiny_model.generation_config, "eos_token_id", ends)


@pytest.fixture
def tab(in_event_loop: Callable[[Callable[[], DescribeTab]], DescribeTab]) -> DescribeTab:
    def build() -> DescribeTab:
        with gr.Blocks(analytics_enabled=False):
            return build_describe_tab(3600)

    return in_event_loop(build)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data", retention_s=3600) as store:
        yield store


@pytest.fixture
def bring(store: Store, clips: dict[str, Path]) -> Bring:
    """Makes a clip an upload."""

    def bring(clip: str, owner: str = "me", name: str | None = None, kind: str = "video") -> Upload:
        (arrived := store.uploads.incoming / "arriving").write_bytes(clips[clip].read_bytes())
        size = arrived.stat().st_size
        return store.uploads.add(owner, name or clip, f"{kind}/x", kind, size, "0" * 64, arrived)

    return bring


@pytest.fixture
def handlers(service: ChatService, store: Store, tab: DescribeTab) -> DescribeHandlers:
    return DescribeHandlers(Models([service]), store, tab)


def asked_by(owner: str) -> gr.Request:
    """A request as it comes through the door."""
    return gr.Request(Request({"type": "http", "state": {"owner": owner}}))


ME = asked_by("me")


def shown(changes: Iterable[Change]) -> Change:
    """What the tab shows after all changes."""
    return {component: value for change in changes for component, value in change.items()}


def test_a_description_is_the_one_that_the_library_gives_and_comes_text_by_text(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring, clips: dict[str, Path], tiny_model: VideoLLM
) -> None:
    expected = describe_video(tiny_model, clips["one.mp4"], every_s=2.0)
    one = bring("one.mp4")
    changes = list(handlers.describe(ME, None, one.id, *EACH_PART))
    counts = [len(Found(change[tab.description]).buttons) for change in changes]
    assert counts == sorted(counts)
    assert set(range(len(expected.events) + 1)) == set(counts), "each text must be seen as it comes"
    assert changes[0][tab.stop]["visible"]
    assert not changes[0][tab.start]["interactive"]
    final = shown(changes)
    found = Found(final[tab.description])
    assert [
        (float(button["data-seek"] or 0), float(button["data-end"] or 0)) for button in found.buttons
    ] == [(round(event.start_s, 3), round(event.end_s, 3)) for event in expected.events]
    assert {button["data-medium"] for button in found.buttons} == {"0"}
    assert [text for text in found.texts if text in {event.text for event in expected.events}] == [
        event.text for event in expected.events if event.text
    ]
    assert f"described in {len(expected.events)} texts" in final[tab.progress]
    assert final[tab.start]["interactive"]
    assert not final[tab.stop]["visible"]


def test_what_was_described_is_found_again_and_taken_away_as_files(
    handlers: DescribeHandlers,
    service: ChatService,
    store: Store,
    tab: DescribeTab,
    bring: Bring,
    clips: dict[str, Path],
    tiny_model: VideoLLM,
) -> None:
    expected = describe_video(tiny_model, clips["one.mp4"], every_s=2.0)
    one = bring("one.mp4", name="My day.mp4")
    final = shown(handlers.describe(ME, None, one.id, *EACH_PART))
    other_page = DescribeHandlers(Models([service]), store, tab)
    again = other_page.follow(ME, None, one.id)
    assert again[tab.description] == final[tab.description]
    files = {link["download"]: content_of(link) for link in Found(again[tab.description]).links}
    assert files.keys() == {"My day.srt", "My day.vtt", "My day.json"}
    assert files["My day.srt"] == srt(expected.events)
    assert files["My day.vtt"] == vtt(expected.events)
    told = json.loads(files["My day.json"])
    assert (told["name"], told["model"], told["every_s"], told["complete"]) == (
        "My day.mp4",
        "tiny",
        2.0,
        True,
    )
    assert told["summary"] == expected.summary
    assert [event["text"] for event in told["events"]] == [event.text for event in expected.events]


def test_the_description_of_another_wish_comes_back_with_the_wish(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring
) -> None:
    one = bring("one.mp4")
    first = shown(handlers.describe(ME, None, one.id, *NORMAL))
    second = shown(handlers.describe(ME, first[tab.state], one.id, "brief", None, "tiny"))
    assert first[tab.description] != second[tab.description]
    back = handlers.wish(ME, second[tab.state], one.id, *NORMAL)
    assert back[tab.description] == first[tab.description]
    assert not back[tab.every_s]["visible"]
    unknown = handlers.wish(ME, second[tab.state], one.id, *EACH_PART)
    assert unknown[tab.description] == first[tab.description], "what is not known changes nothing"
    assert unknown[tab.every_s]["visible"]
    assert handlers.follow(ME, None, one.id)[tab.description] == second[tab.description], "the newest"


def test_the_model_that_is_chosen_describes(
    service: ChatService,
    store: Store,
    tab: DescribeTab,
    bring: Bring,
    clips: dict[str, Path],
    tiny_checkpoint: Path,
) -> None:
    model = load_model(tiny_checkpoint, device="cpu")
    model.generation_config.eos_token_id += [*range(12, 400, 6)]
    expected = describe_video(model, clips["one.mp4"], every_s=2.0)
    other = ChatService(model, "other", "It says something else.")
    handlers = DescribeHandlers(Models([service, other]), store, tab)
    one = bring("one.mp4")
    first = shown(handlers.describe(ME, None, one.id, *EACH_PART))
    second = shown(handlers.describe(ME, first[tab.state], one.id, EVERY, 2.0, "other"))
    state: DescribeState = second[tab.state]
    assert state.shown is not None
    assert state.shown.wish == Wish("other", every_s=2.0)
    assert state.shown.events == expected.events
    assert second[tab.description] != first[tab.description]
    back = handlers.wish(ME, state, one.id, *EACH_PART)
    assert back[tab.description] == first[tab.description]
    gone = shown(handlers.describe(ME, state, one.id, EVERY, 2.0, "gone"))
    assert "there is no model" in gone[tab.progress]
    other.close(grace_s=0)


def test_stopped_in_the_middle_it_keeps_what_has_come_and_says_so(
    handlers: DescribeHandlers, store: Store, tab: DescribeTab, bring: Bring
) -> None:
    one = bring("one.mp4")
    changes = handlers.describe(ME, None, one.id, *EACH_PART)
    state: DescribeState = next(changes)[tab.state]
    last: Change = next(change for change in changes if Found(change[tab.description]).buttons)
    stopping = handlers.stop(ME, state, one.id)
    assert "Stopping" in stopping[tab.progress]
    assert stopping[tab.stop]["visible"]
    last = shown([last, *changes])
    found = Found(last[tab.description])
    assert found.buttons
    assert "stopped at" in last[tab.progress]
    assert any("the rest is missing" in text for text in found.texts)
    (told,) = [
        json.loads(content_of(link)) for link in found.links if (link["download"] or "")[-5:] == ".json"
    ]
    assert not told["complete"]
    assert last[tab.start]["interactive"]
    assert store.descriptions.list("me", one.id) == ()


def test_taking_the_file_away_or_leaving_ends_the_work(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring, service: ChatService
) -> None:
    one = bring("one.mp4")
    for leave in (
        lambda state, changes: handlers.follow(ME, state, f" / {one.id}"),
        lambda state, changes: end_describing(state),
        lambda state, changes: changes.close(),
    ):
        changes = handlers.describe(ME, None, one.id, *EACH_PART)
        state: DescribeState = next(changes)[tab.state]
        assert state.is_running
        leave(state, changes)
        assert len(list(changes)) <= 2
        assert not state.is_running
        assert state.running is None
    gone = handlers.follow(ME, state, "")
    assert gone[tab.description] == ""
    assert panel.NOTHING_TO_DESCRIBE in gone[tab.progress]
    assert not gone[tab.start]["interactive"]
    end_describing(None)


def test_only_one_description_of_a_page_is_made_at_a_time(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring
) -> None:
    one = bring("one.mp4")
    first = handlers.describe(ME, None, one.id, *NORMAL)
    state = next(first)[tab.state]
    (second,) = handlers.describe(ME, state, one.id, "brief", None, "tiny")
    assert not second[tab.start]["interactive"]
    assert "described in" in shown(first)[tab.progress]
    assert state.shown.wish.detail == "normal"


def test_another_file_can_be_looked_at_while_one_is_described(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring
) -> None:
    one, two, still = bring("one.mp4"), bring("two.mp4"), bring("still.png", kind="image")
    listed = f"{still.id} {one.id} {two.id} /"
    opened = handlers.follow(ME, None, listed)
    assert opened[tab.video]["choices"] == [("one.mp4", one.id), ("two.mp4", two.id)]
    assert (opened[tab.video]["value"], opened[tab.video]["visible"]) == (one.id, True)
    changes = handlers.describe(ME, opened[tab.state], listed, *NORMAL)
    begun = next(changes)
    meanwhile = handlers.choose(ME, begun[tab.state], listed, two.id)
    assert meanwhile[tab.description] == ""
    assert "one.mp4" in meanwhile[tab.progress]
    assert meanwhile[tab.stop]["visible"]
    final = shown(changes)
    assert final[tab.description] == ""
    back = handlers.choose(ME, begun[tab.state], listed, one.id)
    assert {button["data-medium"] for button in Found(back[tab.description]).buttons} == {"1"}, "its player"
    alone = handlers.follow(ME, begun[tab.state], f"{one.id} /")
    assert not alone[tab.video]["visible"]
    assert {button["data-medium"] for button in Found(alone[tab.description]).buttons} == {"0"}


def test_nothing_of_somebody_else_is_shown_described_or_stopped(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring
) -> None:
    one = bring("one.mp4", name="mine alone.mp4")
    running = handlers.describe(ME, None, one.id, "brief", None, "tiny")
    state = next(running)[tab.state]
    stranger = asked_by("somebody")
    told = [
        handlers.follow(stranger, state, one.id),
        handlers.choose(stranger, state, one.id, one.id),
        handlers.wish(stranger, state, one.id, *EACH_PART),
        handlers.stop(stranger, state, one.id),
        *handlers.describe(stranger, state, one.id, *EACH_PART),
    ]
    final = shown(running)
    told += [handlers.choose(stranger, final[tab.state], one.id, one.id)]
    assert {change[tab.state].owner for change in told} == {"somebody"}
    assert {change[tab.description] for change in told} == {""}
    assert "mine alone" not in repr(told)
    assert "described in" in final[tab.progress]


@pytest.mark.parametrize(
    ("clip", "density", "every_s", "words"),
    [
        ("one.mp4", EVERY, None, "how many seconds"),
        ("one.mp4", EVERY, -1, "above 0"),
        ("one.mp4", EVERY, 1000, "this model looks at up to 8 s"),
        ("one.mp4", "closer", None, "brief, normal or dense"),
        ("noise.mp4", "normal", None, "&lt;b&gt;.mp4"),
    ],
)
def test_what_is_wrong_is_one_line_and_another_may_be_asked_for(
    handlers: DescribeHandlers,
    tab: DescribeTab,
    bring: Bring,
    clip: str,
    density: str,
    every_s: float | None,
    words: str,
) -> None:
    wrong, right = bring(clip, name="<b>.mp4"), bring("two.mp4")
    listed = f"{wrong.id} {right.id} /"
    final = shown(handlers.describe(ME, None, listed, density, every_s, "tiny"))
    assert final[tab.progress].count("<p") == 1
    assert 'role="alert"' in final[tab.progress]
    assert words in final[tab.progress]
    assert wrong.id not in final[tab.progress]
    assert final[tab.description] == ""
    assert final[tab.start]["interactive"]
    assert handlers.choose(ME, final[tab.state], listed, right.id)[tab.progress].count("alert") == 0


def test_a_file_that_has_expired_and_a_server_that_is_busy_are_one_line(
    handlers: DescribeHandlers, tab: DescribeTab, bring: Bring, store: Store
) -> None:
    one = bring("one.mp4")
    pages = [handlers.describe(asked_by("me"), None, one.id, *NORMAL) for _ in range(13)]
    begun = [next(page) for page in pages]
    assert ["try again" in change[tab.progress] for change in begun] == [False] * 12 + [True]
    for page in pages:
        page.close()
    store.uploads.delete("me", one.id)
    final = shown(handlers.describe(ME, begun[0][tab.state], one.id, *NORMAL))
    assert "bring the file again" in final[tab.progress]
    assert final[tab.start]["interactive"]
