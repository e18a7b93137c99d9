"""Many videos described together are described as each is alone."""

import itertools

import pytest
from PIL import Image

from videollm import describe_video
from videollm.describe.batch import describe_batch
from videollm.describe.rows import Source
from videollm.describe.settings import DescribeOptions
from videollm.media import ReadOptions
from videollm.video import DecodeLimits

FEW_WORDS = DescribeOptions(max_new_tokens=4)


@pytest.fixture(scope="module")
def videos(tmp_path_factory, write_video):
    """Clips of one to five shots, one of them much longer than the model looks at together, and a picture."""
    folder = tmp_path_factory.mktemp("videos")
    paths = [
        write_video(folder / f"{number}.mp4", tuple(range(number, number + shots)), seconds)
        for number, (shots, seconds) in enumerate([(1, 3), (3, 2), (5, 10), (2, 1), (1, 30), (2, 4)])
    ]
    Image.new("RGB", (64, 48), "red").save(folder / "red.png")
    return [*paths, folder / "red.png"]


def together(model, paths, options=FEW_WORDS, **settings):
    outcomes = describe_batch(model, [Source(path) for path in paths], options, **settings)
    return {outcome.source.path: outcome for outcome in outcomes}


def said(description):
    usage = description.usage
    tokens = (usage.frames, usage.visual_tokens, usage.prompt_tokens, usage.completion_tokens)
    return description.summary, description.events, description.notices, tokens


@pytest.mark.parametrize("detail", ["brief", "normal", "dense"])
def test_together_they_are_described_as_alone(tiny, videos, detail):
    options = DescribeOptions(detail, max_new_tokens=4)
    outcomes = together(tiny, videos, options, batch_size=5)
    assert set(outcomes) == set(videos)
    for path in videos:
        alone = describe_video(tiny, path, detail=detail, max_new_tokens=4)
        assert said(outcomes[path].description) == said(alone)


def test_a_source_may_have_a_window_of_its_own(tiny, videos):
    (outcome,) = describe_batch(tiny, [Source(videos[2], 12.0, 25.0)], FEW_WORDS)
    events = outcome.description.events
    assert (outcome.start_s, outcome.end_s) == (events[0].start_s, events[-1].end_s) == (12.0, 25.0)
    assert all(one.end_s == other.start_s for one, other in itertools.pairwise(events))
    assert outcome.info.duration_s == pytest.approx(50.0, abs=0.3)


def test_a_file_that_cannot_be_read_holds_no_other_up(tiny, videos, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[2].read_bytes()[:600])
    missing = tmp_path / "missing.mp4"
    outcomes = together(tiny, [broken, videos[0], missing, videos[1]])
    for path in (broken, missing):
        assert outcomes[path].description is None
        assert outcomes[path].error.kind == "UnreadableVideoError"
        assert str(path) in outcomes[path].error.message
    assert all(outcomes[path].description for path in videos[:2])


def test_a_file_whose_question_fails_holds_no_other_up(tiny, videos, tmp_path, write_video):
    """What is said in it is longer than the language model's context; the others are in the same batch."""
    talkative = write_video(tmp_path / "talkative.mp4", (1,), 3)
    words = " ".join(f"word{number}" for number in range(3000))
    (tmp_path / "talkative.srt").write_text(f"1\n00:00:00,000 --> 00:00:02,000\n{words}\n")
    options = DescribeOptions(max_new_tokens=4, subtitles=True)
    outcomes = together(tiny, [videos[0], talkative, videos[3]], options, batch_size=8)
    assert outcomes[talkative].error.kind == "ContextOverflowError"
    assert outcomes[videos[0]].description
    assert outcomes[videos[3]].description


def test_subtitles_change_what_is_asked(tiny, tmp_path, write_video):
    path = write_video(tmp_path / "clip.mp4", (1,), 3)
    (tmp_path / "clip.srt").write_text("1\n00:00:00,000 --> 00:00:02,000\nGood evening.\n")
    (silent,) = together(tiny, [path]).values()
    (told,) = together(tiny, [path], DescribeOptions(max_new_tokens=4, subtitles=True)).values()
    assert told.description.usage.prompt_tokens > silent.description.usage.prompt_tokens
    assert describe_video(tiny, path, max_new_tokens=4, subtitles=True).usage.prompt_tokens == (
        told.description.usage.prompt_tokens
    )


def test_a_file_that_takes_too_long_is_given_up(tiny, tmp_path, write_video):
    """Thousands of frames: nobody reads them within the time, also if this process sleeps a while."""
    endless = write_video(tmp_path / "endless.mp4", (1, 2), seconds=300, rate=10)
    reading = ReadOptions(limits=DecodeLimits(seconds=1e-6))
    (outcome,) = together(tiny, [endless], DescribeOptions(reading=reading)).values()
    assert "took longer than" in outcome.error.message


def test_it_stops_when_told_to_and_says_nothing_of_what_is_unfinished(tiny, videos):
    done = []
    outcomes = describe_batch(
        tiny,
        [Source(path) for path in videos] * 5,
        FEW_WORDS,
        batch_size=1,
        should_stop=lambda: len(done) > 1,
    )
    for outcome in outcomes:
        done.append(outcome)
    assert 2 <= len(done) < len(videos) * 5
    assert all(outcome.description for outcome in done)


def test_files_are_named_before_the_model_looks_at_them(tiny, videos):
    named = []
    for outcome in describe_batch(tiny, [Source(path) for path in videos], FEW_WORDS, at_work=named.extend):
        assert outcome.source in named
    assert len(named) == len(set(named)) == len(videos)
