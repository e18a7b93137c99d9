"""Many people's answers at once: each as if alone, in fair turns, and gone at once when nobody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from videollm import VideoLLM, load_model
from videollm.errors import CancelledError
from videollm.media import processor_of
from videollm.model.batching import BatchGenerator
from videollm.model.generation import PromptCache, stream_generate
from videollm.values import GenerationSettings, Message
from videollm_serve.service.driving import EngineDriver
from videollm_serve.service.engine import Engine, EngineLimits
from videollm_serve.service.engine_waiting import BusyError


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> VideoLLM:
    return load_model(tiny_checkpoint, device="cpu")


@pytest.fixture
def engine(model: VideoLLM) -> Iterator[Engine]:
    engine = Engine(BatchGenerator(model, max_rows=4), EngineLimits(rows=4, waiting=8, waiting_each=6))
    yield engine
    engine.close(grace_s=0)


@pytest.fixture
def stall(engine: Engine) -> Iterator[threading.Event]:
    """Keeps the model busy until the event is set."""
    go_on, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert go_on.wait(60)

    engine.submit("somebody else", work)
    assert began.wait(60)
    yield go_on
    go_on.set()


def prompt(model: VideoLLM, question: str) -> list[int]:
    return list(processor_of(model).render((Message("user", question),), ()).input_ids)


def settings(length: int = 12) -> GenerationSettings:
    return GenerationSettings(max_new_tokens=length)


def test_answers_at_once_are_those_of_each_alone(model: VideoLLM, engine: Engine) -> None:
    questions = [f"What happens at 0:0{number}? {'And then? ' * number}" for number in range(7)]
    alone = ["".join(stream_generate(model, prompt(model, one), None, settings())) for one in questions]

    def ask(question: str) -> str:
        return "".join(engine.stream(question, prompt(model, question), None, settings()))

    with ThreadPoolExecutor(len(questions)) as pool:
        assert list(pool.map(ask, questions)) == alone


def test_a_stream_says_what_the_answer_cost(model: VideoLLM, engine: Engine) -> None:
    ids, cache = prompt(model, "What happens?"), PromptCache()
    first = engine.stream("a", ids, None, settings(5), cache=cache)
    text = "".join(first)
    assert (first.text, first.finish_reason) == (text, "length")
    assert (first.prompt_tokens, first.cached_tokens, len(first.ids)) == (len(ids), 0, 5)
    second = engine.stream("a", [*ids, *first.ids, *ids], None, settings(5), cache=cache)
    list(second)
    # The last id of an answer is written, not read.
    assert second.cached_tokens == len(ids) + 4


def test_a_place_in_the_queue_counts_down(model: VideoLLM, engine: Engine, stall: threading.Event) -> None:
    tasks = [engine.submit(owner, lambda owner=owner: owner) for owner in "abc"]
    places = iter(tasks[2])
    assert next(places) == 2
    tasks[0].cancel()
    assert next(places) == 1
    stall.set()
    assert [*places][-1:] in ([0], [])
    assert tasks[2].result() == "c"
    with pytest.raises(CancelledError):
        tasks[0].result()


def test_everybodys_first_answer_comes_before_anybodys_second(
    model: VideoLLM, engine: Engine, stall: threading.Event
) -> None:
    order: list[str] = []
    tasks = [
        engine.submit(name[0], lambda name=name: order.append(name))
        for name in ("a1", "a2", "a3", "b1", "c1")
    ]
    stall.set()
    for task in tasks:
        task.result()
    assert order == ["a1", "b1", "c1", "a2", "a3"]


def test_who_leaves_ends_only_their_own_answer(model: VideoLLM, engine: Engine) -> None:
    ids = prompt(model, "What happens?")
    alone = "".join(stream_generate(model, ids, None, settings(40)))
    # Long enough that it still goes on, however late the one who leaves gets to say so.
    leaver, stayer = (
        engine.stream(owner, ids, None, settings(most)) for owner, most in (("a", 500), ("b", 40))
    )
    while not next(leaver):
        pass
    leaver.close()
    assert leaver.finish_reason == "cancelled"
    assert len(leaver.ids) < 500
    assert "".join(stayer) == alone
    assert engine.state.running == 0


def test_an_answer_that_waits_can_be_left_as_well(
    model: VideoLLM, engine: Engine, stall: threading.Event
) -> None:
    stream = engine.stream("a", prompt(model, "What happens?"), None, settings())
    assert next(stream) == ""
    assert stream.place == 0
    stream.close()
    assert (stream.finish_reason, stream.ids, engine.state.waiting) == ("cancelled", [], 0)


def test_a_stop_from_elsewhere_is_heard_between_two_tokens(model: VideoLLM, engine: Engine) -> None:
    stop = threading.Event()
    stream = engine.stream("a", prompt(model, "What happens?"), None, settings(500), should_stop=stop.is_set)
    pieces = [next(stream) for _ in range(4)]
    stop.set()
    pieces += stream
    assert stream.finish_reason == "cancelled"
    assert "".join(pieces) == stream.text


def test_too_much_work_is_refused_with_one_line(
    model: VideoLLM, engine: Engine, stall: threading.Event
) -> None:
    waiting = [engine.submit("a", lambda: None) for _ in range(6)]
    with pytest.raises(BusyError, match="6 of your requests wait already"):
        engine.submit("a", lambda: None)
    waiting += [engine.submit(owner, lambda: None) for owner in "bc"]
    with pytest.raises(BusyError, match="too many people wait"):
        engine.submit("d", lambda: None)
    stall.set()
    for task in waiting:
        task.result()
    assert engine.submit("a", lambda: 5).result() == 5


def test_an_error_belongs_to_its_own_work(model: VideoLLM, engine: Engine) -> None:
    def fail() -> None:
        raise ValueError("mine")

    failing, other = engine.submit("a", fail), engine.submit("b", lambda: 1)
    with pytest.raises(ValueError, match="mine"):
        failing.result()
    assert other.result() == 1
    with pytest.raises(Exception, match="placeholders"):
        list(engine.stream("a", [model.config.placeholder_token_id, 5], None, settings()))
    assert "".join(engine.stream("a", prompt(model, "And?"), None, settings()))


def test_closing_ends_what_waits_and_lets_what_runs_finish(model: VideoLLM) -> None:
    engine = Engine(BatchGenerator(model, max_rows=1), EngineLimits(rows=1))
    ids = prompt(model, "What happens?")
    running = engine.stream("a", ids, None, settings(20))
    while not next(running):
        pass
    waiting = engine.stream("b", ids, None, settings(20))
    engine.close(grace_s=60)
    list(running)
    assert running.finish_reason == "length"
    with pytest.raises(CancelledError, match="closing"):
        list(waiting)
    with pytest.raises(CancelledError, match="closing"):
        engine.submit("a", lambda: None)


def test_what_has_no_room_in_memory_waits_for_the_others_to_end(model: VideoLLM) -> None:
    engine = Engine(BatchGenerator(model, max_rows=4), EngineLimits(rows=4, kv_bytes=1))
    ids = prompt(model, "What happens?")
    first = engine.stream("a", ids, None, settings(30))
    while not next(first):
        pass
    second = engine.stream("b", ids, None, settings(5))
    assert next(second) == ""
    assert (engine.state.running, engine.state.waiting) in ((1, 1), (1, 0))
    assert "".join(second) == "".join(stream_generate(model, ids, None, settings(5)))
    assert first.running is not None
    assert first.running.ended
    engine.close(grace_s=0)


def test_what_belongs_to_an_answer_is_not_refused_for_want_of_room(
    model: VideoLLM, engine: Engine, stall: threading.Event
) -> None:
    waiting = [engine.submit("a", lambda: None) for _ in range(6)]
    with pytest.raises(BusyError):
        engine.submit("a", lambda: None)
    with ThreadPoolExecutor(1) as pool:
        evidence = pool.submit(EngineDriver(engine, "a").run, lambda: "evidence")
        while engine.state.waiting <= len(waiting):
            assert not evidence.done()
        stall.set()
        assert evidence.result() == "evidence"


def test_an_answer_that_ends_while_the_server_closes_gets_its_evidence(model: VideoLLM) -> None:
    engine = Engine(BatchGenerator(model, max_rows=1), EngineLimits(rows=1))
    driver, closing = EngineDriver(engine, "a"), threading.Event()

    def work() -> None:
        closing.set()
        while not engine._is_closing:
            pass

    busy = engine.submit("b", work)
    assert closing.wait(60)
    with ThreadPoolExecutor(2) as pool:
        evidence = pool.submit(driver.run, lambda: "evidence")
        while engine.state.waiting < 1:
            pass
        pool.submit(engine.close, 60)
        busy.result()
        assert evidence.result() == "evidence"
    with pytest.raises(CancelledError, match="closing"):
        driver.run(lambda: "too late")
