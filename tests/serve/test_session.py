"""A session reads media, answers, stops, goes back and forgets, and tells what happens as events."""

from __future__ import annotations

import io
import logging
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from videollm.chat import VideoChat
from videollm.checkpoints import load_model
from videollm.media import ReadOptions, read_media
from videollm.model.modeling import VideoLLM
from videollm.video import DecodeLimits
from videollm.video.worker import run_in_worker
from videollm_serve.service.conversation import STOPPED
from videollm_serve.service.events import BroughtFile, Done, Event, Failed, Reading, TextPiece, VideoReady
from videollm_serve.service.service import ChatService
from videollm_serve.service.session import ChatSession

AS_IS = ReadOptions()
QUESTION = "What happens in this video?"


def ask(
    session: ChatSession, question: str = QUESTION, options: ReadOptions = AS_IS, **sampling: object
) -> list[Event]:
    """Asks with short answers and returns all events."""
    return list(session.ask(question, options, **{"max_new_tokens": 12, **sampling}))


def answer_of(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done), events[-1]
    return events[-1]


def test_the_frames_shown_are_those_that_were_encoded(
    session: ChatSession, tiny_model: VideoLLM, brought: dict[str, BroughtFile]
) -> None:
    events = list(session.set_media([brought["one.mp4"]], AS_IS))
    expected = read_media(tiny_model, brought["one.mp4"].path)
    (view,) = session.views
    assert events == [Reading("one.mp4"), VideoReady(view)]
    assert tuple(frame.time_s for frame in view.frames) == expected.plan.times_s
    assert view.visual_tokens == expected.token_count
    picture = Image.open(io.BytesIO(view.frames[0].jpeg))
    assert picture.width / picture.height == pytest.approx(view.info.width / view.info.height, abs=0.05)


def test_an_answer_comes_in_pieces_and_is_the_one_that_the_library_gives(
    session: ChatSession, tiny_model: VideoLLM, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    events = ask(session)
    answer = answer_of(events).answer
    pieces = [event.text for event in events if isinstance(event, TextPiece)]
    assert len(pieces) > 2
    assert "".join(pieces) == answer.text == session.turns[-1].text
    assert answer.text == VideoChat(tiny_model, brought["one.mp4"].path).ask(QUESTION, max_new_tokens=12).text


def test_a_second_question_reads_nothing_again_and_keeps_the_prefix(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    first = answer_of(ask(session)).answer
    events = ask(session, "And then?")
    assert not any(isinstance(event, Reading | VideoReady) for event in events)
    assert answer_of(events).answer.usage.cached_tokens >= first.usage.prompt_tokens


def test_other_settings_look_again_and_the_conversation_goes_on(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    before = answer_of(ask(session)).answer.usage
    events = ask(session, "And then?", ReadOptions(max_visual_tokens=7, max_frames=5, start_s=1.0))
    after = answer_of(events).answer.usage
    (view,) = session.views
    assert VideoReady(view) in events
    assert (after.frames, view.visual_tokens) == (len(view.frames), after.visual_tokens)
    assert after.frames <= 5 < before.frames
    assert after.visual_tokens <= 7 < before.visual_tokens
    assert min(frame.time_s for frame in view.frames) > 1.0
    assert [turn.question for turn in session.turns] == [QUESTION, "And then?"]
    assert after.prompt_tokens > after.visual_tokens + 40, "the first turn must still be in the prompt"


def test_sampling_settings_reach_the_model(session: ChatSession) -> None:
    texts = {seed: answer_of(ask(session, temperature=2.0, seed=seed)).answer.text for seed in (1, 2)}
    session.forget()
    again = answer_of(ask(session, temperature=2.0, seed=1)).answer
    assert texts[1] != texts[2]
    assert again.text == texts[1]
    assert again.usage.completion_tokens <= 12


@pytest.mark.parametrize("name", ["noise.mp4", "empty.mp4", "letter.mp4"])
def test_an_unreadable_file_is_one_line_and_the_next_question_is_answered(
    session: ChatSession, brought: dict[str, BroughtFile], name: str
) -> None:
    events = list(session.set_media([brought["one.mp4"], brought[name]], AS_IS))
    failed = events[-1]
    assert isinstance(failed, Failed)
    assert failed.file == brought[name]
    assert failed.message.startswith(name)
    assert "\n" not in failed.message
    for unknown in (str(brought[name].path.parent), brought[name].id):
        assert unknown not in failed.message
    assert session.turns[-1].failed
    assert [view.file for view in session.views] == [brought["one.mp4"]]
    assert answer_of(ask(session)).answer.usage.frames > 0


def test_an_unreadable_file_is_not_tried_again_until_it_was_taken_away(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    both = [brought["one.mp4"], brought["noise.mp4"]]
    list(session.set_media(both, AS_IS))
    assert list(session.set_media(both, AS_IS)) == []
    assert list(session.set_media(both[:1], AS_IS)) == []
    assert any(isinstance(event, Failed) for event in session.set_media(both, AS_IS))


def test_a_file_added_behind_goes_on_and_another_file_begins_anew(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    ask(session)
    list(session.set_media([brought["one.mp4"], brought["still.png"]], AS_IS))
    assert len(session.turns) == 1
    assert answer_of(ask(session, "And the picture?")).answer.usage.frames == sum(
        len(v.frames) for v in session.views
    )
    list(session.set_media([brought["two.mp4"]], AS_IS))
    assert session.turns == ()
    assert [view.file for view in session.views] == [brought["two.mp4"]]


def test_stop_ends_the_answer_between_two_tokens(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    events = session.ask(QUESTION, AS_IS, max_new_tokens=500)
    heard = [next(events)]
    session.stop()
    heard += events
    answer = answer_of(heard).answer
    assert answer.finish_reason == "cancelled"
    assert answer.usage.completion_tokens < 20
    assert answer_of(ask(session, "And then?")).answer.finish_reason != "cancelled"


def test_stop_while_reading_leaves_the_question_unasked(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    for event in (events := session.ask_about([brought["one.mp4"]], QUESTION, AS_IS)):
        assert isinstance(event, Reading)
        session.stop()
        break
    assert [type(event) for event in events] == [Failed]
    assert session.turns[-1].question == QUESTION
    assert "Stopped before" in session.turns[-1].text
    answer_of(list(session.ask_about([brought["one.mp4"]], QUESTION, AS_IS, max_new_tokens=2)))


def test_a_file_that_is_being_decoded_is_given_up_at_once(
    session: ChatSession, brought: dict[str, BroughtFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    decodes_for_ever(monkeypatch)
    for end in (session.stop, session.begin):
        reading = session.ask_about([brought["one.mp4"]], QUESTION, AS_IS)
        assert next(reading) == Reading("one.mp4")
        threading.Timer(0.3, end).start()
        rest = list(reading)
        assert rest in ([Failed(STOPPED)], [])
    assert session.views == ()


def test_a_server_that_ends_gives_up_what_is_being_decoded(
    service: ChatService, brought: dict[str, BroughtFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    decodes_for_ever(monkeypatch)
    session = service.open()
    reading = session.ask_about([brought["one.mp4"]], QUESTION, AS_IS)
    assert next(reading) == Reading("one.mp4")
    threading.Timer(0.3, service.refuse).start()
    assert list(reading) == [Failed("the server is closing")]


def decodes_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every file take longer to decode than anybody waits, in a real process."""

    def reads(*_: object) -> None:
        run_in_worker(time.sleep, 1000, limits=DecodeLimits(), subject="one.mp4")

    monkeypatch.setattr("videollm_serve.service.looking.read_frames", reads)


def test_clear_while_reading_forgets_the_question_too(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    events = session.ask_about([brought["one.mp4"]], QUESTION, AS_IS)
    assert isinstance(next(events), Reading)
    session.forget()
    assert list(events) == []
    assert session.turns == ()


def test_stop_while_looking_again_leaves_the_question_unanswered(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"], brought["two.mp4"]], AS_IS))
    events = session.ask(QUESTION, ReadOptions(max_frames=3))
    assert isinstance(next(events), Reading)
    session.stop()
    assert isinstance(list(events)[-1], Failed)
    assert session.turns[-1].failed
    answer_of(ask(session, QUESTION))


def test_undo_takes_the_question_back_as_if_it_had_not_been_asked(
    session: ChatSession, service: ChatService, brought: dict[str, BroughtFile]
) -> None:
    for each in (session, other := service.open()):
        list(each.set_media([brought["one.mp4"]], AS_IS))
        ask(each)
    ask(session, "What is red?")
    assert session.undo() == "What is red?"
    assert [(turn.question, turn.text) for turn in session.turns] == [
        (turn.question, turn.text) for turn in other.turns
    ]
    assert answer_of(ask(session, "And then?")).answer.text == answer_of(ask(other, "And then?")).answer.text


def test_undo_passes_over_failures_and_leaves_the_model_its_history(session: ChatSession) -> None:
    ask(session)
    assert isinstance(ask(session, "Hotter?", temperature=-1.0)[-1], Failed)
    assert session.undo() == "Hotter?"
    assert session.undo() == QUESTION
    assert session.undo() is None


def test_nothing_is_taken_back_while_an_answer_is_written(session: ChatSession) -> None:
    events = session.ask(QUESTION, AS_IS, max_new_tokens=12)
    next(events)
    assert session.undo() is None
    answer_of(list(events))
    assert session.undo() == QUESTION


def test_clear_forgets_everything(
    session: ChatSession, service: ChatService, brought: dict[str, BroughtFile]
) -> None:
    list(session.set_media([brought["one.mp4"]], AS_IS))
    ask(session)
    session.forget()
    assert (session.turns, session.views) == ((), ())
    fresh, cleared = answer_of(ask(service.open())).answer, answer_of(ask(session)).answer
    assert (cleared.text, cleared.usage.cached_tokens) == (fresh.text, 0)


def test_what_still_runs_when_the_session_is_cleared_is_not_heard(session: ChatSession) -> None:
    events = session.ask(QUESTION, AS_IS, max_new_tokens=500)
    next(events)
    session.forget()
    assert list(events) == []
    assert session.turns == ()


def test_an_abandoned_answer_gives_the_model_back(session: ChatSession, service: ChatService) -> None:
    events = session.ask(QUESTION, AS_IS, max_new_tokens=500)
    next(events)
    del events
    answer_of(ask(service.open()))


def test_sessions_that_ask_at_once_take_turns(service: ChatService, brought: dict[str, BroughtFile]) -> None:
    alone = answer_of(ask(service.open())).answer.text
    answers: list[str] = []
    threads = [
        threading.Thread(target=lambda: answers.append(answer_of(ask(service.open())).answer.text))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [alone] * 4


@pytest.mark.parametrize(
    "options", [ReadOptions(), ReadOptions(max_visual_tokens=5), ReadOptions(fps=0.7, start_s=1.0, end_s=3.0)]
)
def test_the_receipt_says_beforehand_what_a_look_takes(
    session: ChatSession, brought: dict[str, BroughtFile], options: ReadOptions
) -> None:
    list(session.set_media([brought["one.mp4"], brought["still.png"]], AS_IS))
    promised = session.receipt(options)
    ask(session, QUESTION, options)
    assert promised == [(view.file.name, len(view.frames), view.visual_tokens) for view in session.views]


def test_a_file_that_vanishes_is_reported_when_it_is_needed_again(
    session: ChatSession, tmp_path: Path, brought: dict[str, BroughtFile]
) -> None:
    passing = BroughtFile("an-id", "passing.mp4", tmp_path / "an-id")
    passing.path.write_bytes(brought["one.mp4"].path.read_bytes())
    list(session.set_media([passing], AS_IS))
    passing.path.unlink()
    assert isinstance(answer_of(ask(session)), Done)
    assert isinstance(failed := ask(session, QUESTION, ReadOptions(max_frames=2))[-1], Failed)
    assert failed.message.startswith("passing.mp4: there is no such file")


def test_a_fault_inside_the_program_is_logged_and_the_session_lives_on(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(tiny_checkpoint, device="cpu")
    session, head = ChatService(model, "tiny").open(), model.language_model
    del model.language_model
    with caplog.at_level(logging.ERROR):
        assert isinstance(failed := ask(session)[-1], Failed)
    assert "inside the program" in failed.message
    assert "language_model" in caplog.text
    model.language_model = head
    answer_of(ask(session))


def test_signs_of_damage_call_the_file_by_its_name(
    session: ChatSession, brought: dict[str, BroughtFile], tmp_path: Path
) -> None:
    whole = bytearray(brought["two.mp4"].path.read_bytes())
    start = whole.index(b"mdat") + 4
    whole[start + 3000 : start + 3200] = bytes(200)
    damaged = BroughtFile("m2TlA8nX1cvQ0oGv4-Bz_w", "a trip.mp4", tmp_path / "m2TlA8nX1cvQ0oGv4-Bz_w")
    damaged.path.write_bytes(whole)
    list(session.set_media([damaged], AS_IS))
    answer = answer_of(ask(session)).answer
    (view,) = session.views
    assert [notice for notice in view.notices if notice.startswith("a trip.mp4 is damaged")]
    assert "".join((*view.notices, *answer.notices)).count(damaged.id) == 0


def test_a_file_that_two_pieces_of_work_want_read_is_read_once(
    session: ChatSession, brought: dict[str, BroughtFile]
) -> None:
    loading = session.set_media([brought["one.mp4"]], AS_IS)
    assert isinstance(next(loading), Reading)
    asked: list[Event] = []
    question = session.ask_about([brought["one.mp4"]], QUESTION, AS_IS, max_new_tokens=3)
    asking = threading.Thread(target=lambda: asked.extend(question))
    asking.start()
    list(loading)
    asking.join()
    assert len(session.views) == 1
    assert answer_of(asked).answer.usage.frames == len(session.views[0].frames)
