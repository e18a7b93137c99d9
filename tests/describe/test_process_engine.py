"""Several processes describe what one would."""

import functools
import os
import signal

import pytest

from videollm import ConfigError, VideoLLMError, describe_files, load_model
from videollm.describe.processes import ProcessEngine
from videollm.describe.rows import Source
from videollm.describe.settings import DescribeOptions

FEW_WORDS = DescribeOptions(max_new_tokens=4)


@pytest.fixture(scope="module")
def library(tmp_path_factory, write_video):
    folder = tmp_path_factory.mktemp("library")
    paths = [write_video(folder / f"{n}.mp4", (n, n + 1), 1 + n / 4) for n in range(8)]
    (folder / "broken.mp4").write_bytes(paths[0].read_bytes()[:600])
    return [Source(path, name=path.stem) for path in [*paths, folder / "broken.mp4"]]


@pytest.fixture(scope="module")
def engine(tiny_checkpoint):
    with ProcessEngine(functools.partial(load_model, tiny_checkpoint, device="cpu"), 2) as engine:
        yield engine


def what_matters(out):
    from videollm.describe.ledger import Ledger

    ledger = Ledger(out)
    found = [
        (row.source.name, row.content, row.summary, row.events, row.error, row.fingerprint)
        for row in ledger.rows()
    ]
    ledger.close()
    return found


def test_two_processes_describe_what_one_does(engine, tiny_checkpoint, library, tmp_path):
    together = describe_files(engine, library, tmp_path / "two", FEW_WORDS)
    model = load_model(tiny_checkpoint, device="cpu")
    alone = describe_files(model, library, tmp_path / "one", FEW_WORDS)
    assert (together.described, together.failed) == (alone.described, alone.failed) == (8, 1)
    assert what_matters(tmp_path / "two") == what_matters(tmp_path / "one")
    assert describe_files(engine, library, tmp_path / "two", FEW_WORDS, resume=True).described == 0


def test_a_job_of_processes_can_be_stopped_and_gone_on_with(engine, library, tmp_path):
    done = []
    tally = describe_files(
        engine, library, tmp_path / "out", FEW_WORDS, batch_size=1, progress=done.append,
        should_stop=lambda: len(done) > 2,
    )  # fmt: skip
    assert tally.left > 0
    assert describe_files(engine, library, tmp_path / "out", FEW_WORDS, resume=True).left == 0


def test_what_a_process_raises_is_raised_here(engine):
    with pytest.raises(ConfigError, match="no style 'limerick'"):
        engine.check(DescribeOptions(style="limerick"))


def test_a_process_that_is_killed_ends_the_job_and_loses_no_row(tiny_checkpoint, library, tmp_path):
    load = functools.partial(load_model, tiny_checkpoint, device="cpu")

    def kill(tally):
        if tally.described == 2:
            os.kill(engine._workers[0].process.pid, signal.SIGKILL)

    with (
        pytest.raises(VideoLLMError, match="has ended \\(exit -9\\)"),
        ProcessEngine(load, 2) as engine,
    ):
        describe_files(engine, library, tmp_path / "out", FEW_WORDS, batch_size=1, progress=kill)
    tally = describe_files(load(), library, tmp_path / "out", FEW_WORDS, resume=True)
    assert tally.skipped >= 2
    assert (tally.bad, tally.left) == (1, 0)
