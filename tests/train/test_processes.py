"""Real processes train on records: killed at any moment and resumed, and two of them together as one."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
import yaml

from videollm.checkpoints import load_model
from videollm.errors import ConfigError
from videollm_train.checkpoint import load_newest_checkpoint
from videollm_train.config import load_settings
from videollm_train.programs import run_stage

from ..forking import ForkedProgram


@pytest.fixture(scope="module")
def config(folder, tiny_checkpoint):
    """A stage's YAML file: a few steps over the folder's records, with dropout, checkpoints often."""
    path = folder / "tune.yaml"
    settings = {
        "stage": "instruct",
        "model": str(tiny_checkpoint),
        "features": str(folder / "kept"),
        "data": [{"path": str(folder / "good.jsonl")}],
        "held_out": {"path": str(folder / "good.jsonl")},
        "steps": 6,
        "batch_size": 2,
        "tokens_per_pass": 256,
        "lora": {"rank": 4, "dropout": 0.1},
        "precision": "fp32",
        "workers": 1,
        "log_every": 1,
        "evaluate_every": 100,
        "save_every": 2,
        "optimizer": {"lr": 1e-2, "warmup_steps": 1},
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def command(config, out, *overrides):
    return ["train", "instruct", *overrides, "--config", config, "--out", out, "--threads", "1"]


def launch(*arguments):
    """Runs the program twice by torch's launcher; whether both ended well."""
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, "-m", "videollm", *arguments], env=environment, check=False
    )
    return done.returncode == 0


def run_together(*arguments):
    """Runs the program twice with the environment that a launcher gives; whether both ended well."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    ranks = [{"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"} for rank in "01"]
    both = [ForkedProgram(*arguments, environment=address | rank) for rank in ranks]
    return [process.wait() for process in both] == [0, 0]


def losses(run):
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(event["step"], event["loss"]) for event in events if "loss" in event]


def weights(run):
    return load_model(str(run / "final"), device="cpu").state_dict()


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory):
    """An undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    assert ForkedProgram(*command(config, out)).wait() == 0
    return out


def kill_when(process, reached):
    """Kills a process with -9 as soon as something is there."""
    while not reached():
        assert process.poll() is None, "the run ended before it was killed"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_run_killed_again_and_again_ends_as_an_undisturbed_one(whole, config, tmp_path):
    out = tmp_path / "run"

    def step_done(step):
        return lambda: (out / "log.jsonl").exists() and f'"step": {step}}}' in (out / "log.jsonl").read_text()

    moments = (out.exists, step_done(3), lambda: (out / "checkpoints" / "step-0000004").exists())
    for moment in moments:
        kill_when(ForkedProgram(*command(config, out), *(("--resume",) if out.exists() else ())), moment)
    assert ForkedProgram(*command(config, out), "--resume").wait() == 0
    assert losses(out) == losses(whole)
    resumed = weights(out)
    assert all(torch.equal(weight, resumed[name]) for name, weight in weights(whole).items())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_end_keeps_the_step_it_is_at(whole, config, tmp_path, number, status):
    out = tmp_path / "run"
    process = ForkedProgram(*command(config, out, "save_every=100"))
    while not (out / "log.jsonl").exists() or not losses(out):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(number)
    assert process.wait() == status
    (kept,) = (out / "checkpoints").iterdir()
    assert kept.name == f"step-{len(losses(out)):07}"
    assert not (out / "final").exists()
    assert ForkedProgram(*command(config, out, "save_every=100"), "--resume").wait() == 0
    assert losses(out) == losses(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("lora.rank=8", "was begun with lora.rank=4, not 8"),
        ("steps=9", "was begun with steps=6, not 9"),
        ("budgets={4: 0.5}", r'was begun with budgets=\{\}, not \{"4": 0.5\}'),
        ("held_out=null", r'was begun with held_out=\{"path": .*not null'),
        ("accumulation=2", "was begun with 1 micro batches in a step over all processes, not 2"),
    ],
)
def test_a_run_does_not_go_on_with_other_settings(whole, config, change, message):
    with pytest.raises(ConfigError, match=message):
        run_stage(load_settings(config, (change,)), whole, resume=True)


def test_a_run_does_not_go_on_with_other_data(whole, config, folder, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    rows = (folder / "good.jsonl").read_text()
    try:
        (folder / "good.jsonl").write_text(rows.replace('"1"', '"2"'))
        with pytest.raises(ConfigError, match=r"was begun with other data: .*good\.jsonl has changed"):
            run_stage(load_settings(config), out, resume=True)
    finally:
        (folder / "good.jsonl").write_text(rows)


PLAIN = ("steps=3", "save_every=1", "keep_checkpoints=3", "lora.dropout=0")


@pytest.fixture(scope="module")
def alone(config, tmp_path_factory):
    """One process's run over the batches of two."""
    out = tmp_path_factory.mktemp("alone") / "run"
    assert ForkedProgram(*command(config, out, *PLAIN, "accumulation=2")).wait() == 0
    return out


def assert_learnt_alike(run, alone):
    assert losses(run) == [(step, pytest.approx(loss, rel=1e-5)) for step, loss in losses(alone)]
    apart = weights(run)
    for name, weight in weights(alone).items():
        torch.testing.assert_close(apart[name], weight, atol=1e-5, rtol=1e-4, msg=name)


def test_two_processes_learn_what_one_learns_from_their_batches_together(alone, config, tmp_path):
    out = tmp_path / "two"
    assert launch(*command(config, out, *PLAIN))
    assert [json.loads((run / "training.json").read_text())["processes"] for run in (alone, out)] == [1, 2]
    assert_learnt_alike(out, alone)


def test_two_processes_that_share_one_model_go_on_with_what_one_began(alone, config, tmp_path):
    """And learn the same; their checkpoints hold what one's hold: whole tensors."""
    out = tmp_path / "shared"
    shutil.copytree(alone, out)
    shutil.rmtree(out / "final")
    for step in (2, 3):
        shutil.rmtree(out / "checkpoints" / f"step-000000{step}")
    assert run_together(*command(config, out, *PLAIN, "sharded=true"), "--resume")
    assert_learnt_alike(out, alone)
    ours, theirs = (load_newest_checkpoint(run) for run in (out, alone))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-3)


def test_a_run_leaves_what_says_what_it_was(whole, folder):
    record = json.loads((whole / "training.json").read_text())
    (source,) = record["data"]
    assert source["file"] == str(folder / "good.jsonl")
    assert (source["records"], source["bad_rows"]) == (4, 0)
    assert len(source["sha256"]) == 64
    assert record["command"].startswith("videollm train instruct --config")
    samples = json.loads((whole / "samples.json").read_text())
    assert samples[0]["expected"] == "1"
    assert all(sample["before"] is not None and sample["after"] is not None for sample in samples)
    card = (whole / "final" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["base_model"] == yaml.safe_load((folder / "tune.yaml").read_text())["model"]
    assert f"| {folder / 'good.jsonl'}: right |" in card
    assert [sample["media"] for sample in samples] == [["0.mp4"], ["1.mp4"], ["0.mp4", "1.mp4"], []]
    assert "| 0.mp4, 1.mp4 |" in card
    assert "good.jsonl" in card
    assert samples[0]["question"].split("\n")[-1] in card
