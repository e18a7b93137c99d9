"""Descriptions: what is said of which seconds of a video, for the built-in model also whether it is true."""

import dataclasses
import itertools
import math

import pytest

from videollm import ConfigError, Description, Usage, describe_video, load_model
from videollm.checkpoints.directories import POCKET
from videollm.describe.script import Ask, Script, Told
from videollm.describe.settings import DescribeOptions
from videollm.describe.sights import Sight
from videollm.describe.telling import tell
from videollm.media import ReadOptions
from videollm.model.describe_settings import DescribeSettings
from videollm.synthetic.files import write_clip
from videollm.synthetic.language.descriptions import shot_description
from videollm.synthetic.sampling import sample_clip

needs_pocket = pytest.mark.skipif(
    not (POCKET / "model.safetensors").is_file(), reason="the built-in model's weights are not there yet"
)


@pytest.fixture(scope="module")
def cut_video(tmp_path_factory, write_video):
    """Forty seconds in four colours, ten seconds each."""
    return write_video(tmp_path_factory.mktemp("cut") / "cut.mp4", (0, 1, 2, 3), seconds=10)


def describe(*arguments, **settings):
    """Few words: what a model with random weights says is of no interest."""
    return describe_video(*arguments, max_new_tokens=4, **settings)


def spans(description):
    return [(round(event.start_s), round(event.end_s)) for event in description.events]


def assert_whole(description, start_s, end_s):
    """Events in order and without gaps, from the start to the end."""
    edges = [event.start_s for event in description.events] + [description.events[-1].end_s]
    assert edges[0] == start_s
    assert edges[-1] == pytest.approx(end_s, abs=0.3)
    assert edges == sorted(edges)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(description.events))


def test_each_shot_is_described(tiny, cut_video):
    description = describe(tiny, cut_video, fps=2.0)
    assert isinstance(description, Description)
    assert_whole(description, 0.0, 40.0)
    assert spans(description) == [(0, 10), (10, 20), (20, 30), (30, 40)]
    assert description.usage.frames >= 79
    assert description.usage.visual_tokens > 0


def test_how_much_is_said_is_a_dial(tiny, cut_video):
    dense = describe(tiny, cut_video, fps=2.0, detail="dense")
    assert_whole(dense, 0.0, 40.0)
    assert len(dense.events) >= 8
    assert all(event.end_s - event.start_s <= 5.01 for event in dense.events)
    brief = describe(tiny, cut_video, fps=1.0, detail="brief")
    assert_whole(brief, 0.0, 40.0)
    assert len(brief.events) < 4
    assert spans(describe(tiny, cut_video, every_s=8.0)) == [(8 * n, 8 * n + 8) for n in range(5)]


def test_asked_by_the_second_a_model_that_says_a_line_of_each_shot_says_one_text(
    tiny, cut_video, monkeypatch
):
    asked = dataclasses.replace(tiny.config.describe, timed=True)
    monkeypatch.setattr(tiny.config, "describe", asked)
    told = Told("[0:00-0:02] A red background.\n[0:02-0:08] It is blue.", Usage(0, 0, 0, 0, 0))

    def events(options):
        script = Script(tiny, options)
        for window in script.read(cut_video):
            for stretch in window.stretches:
                script.take(script.about(stretch), told)
        return [(round(event.start_s, 3), round(event.end_s, 3), event.text) for event in script.events]

    grid = [(8.0 * n, 8.0 * n + 8, "A red background. It is blue.") for n in range(5)]
    assert events(DescribeOptions(every_s=8.0)) == grid
    assert [text for *_, text in events(DescribeOptions())[:2]] == ["A red background.", "It is blue."]


def test_a_window_of_the_video_is_described_at_its_own_seconds(tiny, cut_video):
    description = describe(tiny, cut_video, fps=2.0, start_s=15.0, end_s=25.0)
    assert_whole(description, 15.0, 25.0)
    assert spans(description) == [(15, 20), (20, 25)]


def test_shots_longer_than_the_model_can_look_at_go_on_in_the_next_window(tiny, cut_video):
    frames = tiny.config.video.max_frames
    description = describe(tiny, cut_video, fps=frames / 4)
    assert_whole(description, 0.0, 40.0)
    assert all(event.end_s - event.start_s <= 5.0 for event in description.events)
    assert len(description.events) >= 12
    assert {10, 20, 30} <= {end for _, end in spans(description)}


def test_an_image_is_one_event(tiny, tmp_path):
    from PIL import Image

    Image.new("RGB", (64, 48), "red").save(tmp_path / "red.png")
    (event,) = describe(tiny, tmp_path / "red.png").events
    assert (event.start_s, event.end_s) == (0.0, 0.0)


def answered(closing, asked):
    """Answers what is asked for a summary, and writes it down; returns the summary."""
    round_of = next(closing)
    while True:
        asked += [ask.question for ask in round_of]
        answers = [Told(f"summary of {len(asked)}", Usage(0, 0, 0, 0, 0)) for _ in round_of]
        try:
            round_of = closing.send(answers)
        except StopIteration as end:
            return end.value.summary


def test_a_summary_of_more_than_the_context_holds_is_made_of_summaries(tiny, cut_video, monkeypatch):
    monkeypatch.setattr(type(tiny.config), "context_length", 400)
    script = Script(tiny, DescribeOptions(every_s=2.0))
    for window in script.read(cut_video):
        for stretch in window.stretches:
            script.take(script.about(stretch), Told("what a model may say", Usage(0, 0, 0, 0, 0)))
    asked = []
    summary = answered(script.closing(None), asked)
    assert len(asked) > 2
    assert summary == f"summary of {len(asked)}"
    told = [line for question in asked for line in question.splitlines()]
    for event in script.events:  # every note was read once
        minutes, seconds = divmod(math.floor(event.start_s + 0.5), 60)
        assert sum(line.startswith(f"{minutes}:{seconds:02}-") for line in told) == 1


def test_a_summary_of_the_whole_video_does_not_look_at_it_again(tiny, cut_video, monkeypatch):
    monkeypatch.setattr(tiny.config, "describe", dataclasses.replace(tiny.config.describe, summary="All?"))
    looked = []
    hook = tiny.vision.tower.register_forward_hook(
        lambda module, inputs, named, seen: looked.append(len(named["pixel_values"])), with_kwargs=True
    )
    options = DescribeOptions(reading=ReadOptions(fps=0.5), max_new_tokens=4)
    description = describe(tiny, cut_video, fps=0.5)
    hook.remove()
    assert len(description.events) == 4
    assert sum(looked) == description.usage.frames == 20
    # This encoder sees frames one by one: what it makes of them is the same as if it looked at all at once.
    script = Script(tiny, options)
    (window,) = script.read(cut_video)
    (told,) = tell(tiny, [Ask("All?", Sight.alone(window.whole.frames))], options)
    assert description.summary == told.text
    assert told.usage.frames == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"detail": "more"}, "detail must be"),
        ({"every_s": 0.0}, "every_s must be a number of seconds above 0"),
        ({"every_s": "10s"}, "every_s must be a number of seconds above 0, got '10s'"),
        ({"every_s": 2.0, "detail": "dense"}, "one of the two"),
        ({"style": "limerick"}, "no style 'limerick'; it has actions"),
        ({"style": "camera", "prompt": "What?"}, "one of the two"),
        ({"every_s": 1e6}, "up to"),
        ({"start_s": 50.0}, "starts at 50"),
    ],
)
def test_what_cannot_be_meant_is_refused(tiny, cut_video, settings, message):
    with pytest.raises(ConfigError, match=message):
        describe(tiny, cut_video, **settings)


def test_settings_that_ask_nothing_are_refused():
    with pytest.raises(ConfigError, match="must say what is asked"):
        DescribeSettings(events=" ")


@needs_pocket
def test_the_built_in_model_tells_what_happens_when(tmp_path):
    """Shots of clips that it never saw begin when they begin; of the words most are right."""
    model = load_model("pocket", device="cpu")
    assert model.config.describe.timed
    right = told = 0
    for seed in range(40_000, 40_008):
        clip = sample_clip(seed, "test", shots=2, max_short_side=160)
        write_clip(clip, tmp_path / f"{seed}.mp4")
        description = describe_video(model, tmp_path / f"{seed}.mp4")
        assert_whole(description, 0.0, clip.duration_s)
        assert description.summary
        for index, shot in enumerate(clip.shots):
            event = min(description.events, key=lambda event: abs(event.start_s - shot.start_s))
            told += 1
            right += abs(event.start_s - shot.start_s) < 1 and event.text == shot_description(shot, index)
    assert right / told >= 0.5
