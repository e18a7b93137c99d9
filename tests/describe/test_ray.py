"""Workers of Ray describe what one process does, and outlive what ends one of them."""

import dataclasses
import functools
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile

import pytest
from typer.testing import CliRunner

from videollm import DescribeOptions, UnsupportedModelError, describe_files
from videollm.cli import app
from videollm.describe.sources import find_sources

FEW_WORDS = DescribeOptions(max_new_tokens=4)
DEADLY = "deadly.mp4"


@pytest.fixture(scope="module")
def library(tmp_path_factory, write_video):
    """Files that differ, a copy, one that is broken, and one that ends the process that asks the model about it."""
    folder = tmp_path_factory.mktemp("library")
    for number in range(5):
        write_video(folder / f"{number}.mp4", (number, number + 1), 2.0 + number)
    shutil.copy(folder / "0.mp4", folder / "a copy.mp4")
    (folder / "broken.mp4").write_bytes((folder / "4.mp4").read_bytes()[:700])
    write_video(folder / DEADLY, (5, 0), 2.0)
    return folder


@pytest.fixture(scope="module")
def load(tiny_checkpoint, tmp_path_factory):
    """Loads the model as ``tiny`` is, in a worker, where processes that ask it leave their number."""
    asking = tmp_path_factory.mktemp("asking")

    def load():  # an inner function, so that it goes to the workers as it is: they cannot import this file
        import signal
        import time

        from videollm import load_model
        from videollm.describe import batch

        tell = batch.tell

        def watched(model, asks, options):
            (asking / str(os.getpid())).touch()
            given_up_s = time.monotonic() + 120
            while len(list(asking.iterdir())) < 2:  # until another one asks too
                assert time.monotonic() < given_up_s
                time.sleep(0.02)
            if any(ask.sight and os.path.basename(ask.sight.frames.source) == DEADLY for ask in asks):
                os.kill(os.getpid(), signal.SIGKILL)
            return tell(model, asks, options)

        batch.tell = watched
        model = load_model(tiny_checkpoint, device="cpu")
        model.config.video = dataclasses.replace(model.config.video, max_frames=32)
        return model

    load.asking = asking
    return load


@pytest.fixture(scope="module")
def engine(load):
    """Two workers, of a Ray that this file starts and ends."""
    # Its sockets are there, whose paths may not be long.
    with tempfile.TemporaryDirectory(prefix="ray") as folder, pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        patch.setenv("RAY_TMPDIR", folder)
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else Ray leaves one in the home directory
        patch.setenv("RAY_AUTH_MODE", "token")
        from videollm.describe.ray_engine import RayEngine  # Ray reads some of these when it is imported

        with RayEngine(load, 2) as engine:
            yield engine


@pytest.fixture(scope="module")
def described(engine, library, tmp_path_factory):
    """A job of both workers, as its directory and how far it got."""
    out = tmp_path_factory.mktemp("described")
    return out, describe_files(engine, find_sources([str(library)]), out, FEW_WORDS)


def rows(out):
    """The rows by name, without what differs from run to run."""
    found = {}
    for line in (out / "descriptions.jsonl").read_text().splitlines():
        row = json.loads(line)
        usage = row["usage"] and {name: value for name, value in row["usage"].items() if name != "seconds"}
        found[row["name"]] = {**row, "seconds": None, "usage": usage}
    return found


def test_what_a_worker_cannot_load_is_one_line(engine, tmp_path):
    from videollm import load_model
    from videollm.describe.ray_engine import RayEngine

    with (
        RayEngine(functools.partial(load_model, tmp_path), 1) as other,
        pytest.raises(UnsupportedModelError, match=r"holds no config\.json") as raised,
    ):
        other.check(FEW_WORDS)
    assert "\n" not in str(raised.value)


def test_two_workers_describe_what_one_process_does(described, load, tiny, library, tmp_path):
    out, tally = described
    assert (tally.files, tally.described, tally.copied, tally.failed, tally.left) == (8, 5, 1, 2, 0)
    assert len(list(load.asking.iterdir())) >= 2
    assert not (load.asking / str(os.getpid())).exists()
    alone = [path for path in library.iterdir() if path.name != DEADLY]
    describe_files(tiny, find_sources(list(map(str, alone))), tmp_path / "out", FEW_WORDS)
    expected = rows(tmp_path / "out")
    assert {name: row for name, row in rows(out).items() if name in expected} == expected
    assert len(expected) == 7


def test_a_file_that_ends_its_workers_fails_and_costs_no_other(described):
    row = rows(described[0])["deadly"]
    assert row["error"]["kind"] == "WorkerEnded"
    assert not row["events"]


def test_what_is_done_is_not_done_again(described, engine, library):
    out, tally = described
    good = find_sources([str(path) for path in library.iterdir() if path.stem not in ("broken", "deadly")])
    again = describe_files(engine, good, out, FEW_WORDS, resume=True)
    assert (again.described, again.skipped) == (0, tally.described + tally.copied)


def test_the_verb_joins_a_cluster_and_leaves_it_running(engine, tiny_checkpoint, library, tmp_path):
    import ray

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["RAY_ADDRESS"] = ray.get_runtime_context().gcs_address
    done = subprocess.run(
        [
            *(sys.executable, "-m", "videollm", "describe", library / "0.mp4"),
            *("--out", tmp_path / "out", "--ray", "1", "--json"),
            *("--model", os.path.relpath(tiny_checkpoint), "--device", "cpu", "--max-new-tokens", "4"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    tally = json.loads(done.stdout)
    assert (tally["files"], tally["described"]) == (1, 1)
    assert rows(tmp_path / "out")["0"]["events"]
    assert ray.cluster_resources()["CPU"] > 0


@pytest.mark.parametrize(
    ("amounts", "workers", "share"),
    [
        ([8, 8], 2, 8),
        ([8, 8], 3, 4),
        ([3, 3], 3, 1),
        ([1], 2, 1 / 2),
        ([2], 3, 1 / 2),
        ([0, 1.5], 1, 1),
        ([0, 0], 2, 0),
        ([], 1, 0),
    ],
)
def test_workers_share_what_the_nodes_have(amounts, workers, share):
    from videollm.describe.ray_engine import _share

    assert _share(amounts, workers) == share


def test_without_ray_it_says_what_to_install(library, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "videollm.describe.ray_engine", raising=False)
    done = CliRunner().invoke(app, ["describe", str(library), "--out", str(tmp_path / "out"), "--ray", "2"])
    assert done.exit_code == 2
    assert done.stderr == 'error: --ray needs Ray: pip install "videollm[ray]"\n'
    assert not (tmp_path / "out").exists()
