"""The training loop on a model small enough to follow: exact resume, accumulation, records and refusals."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from tensorboardX.proto.event_pb2 import Event, SessionLog
from torch import nn
from torch.utils.data import Dataset

from videollm.errors import CheckpointError, ConfigError, DataError
from videollm_train.checkpoint import load_newest_checkpoint, save_checkpoint
from videollm_train.contrastive_head import ContrastiveHead
from videollm_train.loop import fit
from videollm_train.optimization import build_optimizer, build_schedule, set_trainable, trainable_table
from videollm_train.settings import OptimizerSettings, RunSettings
from videollm_train.task import Loss, Sample


class Squares(Dataset):
    """Micro batches of a noisy regression; item i depends on i alone."""

    def __init__(self, size):
        self.size = size

    def __getitem__(self, index):
        random = torch.Generator().manual_seed(index)
        inputs = torch.randn(self.size, 3, generator=random)
        return [{"inputs": inputs, "targets": inputs.square().sum(1, keepdim=True), "supervised": self.size}]


class Regression:
    """A task with dropout, so that resuming has to restore randomness too."""

    def __init__(self, size=4, spoil_at=None):
        torch.manual_seed(5)
        self.model = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 1))
        self.dataset = Squares(size)
        self.spoil_at, self.calls = spoil_at, 0

    def loss(self, batch):
        self.calls += 1
        total = (self.model(batch["inputs"]) - batch["targets"]).square().sum()
        return Loss(total * (float("nan") if self.calls == self.spoil_at else 1.0))

    def blocks(self):
        return list(self.model)

    def evaluate(self):
        return {"zero": 0.0}

    def samples(self):
        return [Sample("1 + 1?", "2", f"{float(self.model[0].weight.detach().sum()):.6f}")]

    def finish(self):
        pass

    def facts(self):
        return [{"numbers": "drawn"}]

    def export(self, directory: Path):
        directory.mkdir()
        torch.save(self.model.state_dict(), directory / "weights.pt")


def settings(**changes):
    values = {
        "stage": "test",
        "steps": 6,
        "batch_size": 4,
        "precision": "fp32",
        "workers": 0,
        "log_every": 1,
        "evaluate_every": 3,
        "save_every": 2,
        "optimizer": OptimizerSettings(lr=0.05, warmup_steps=2),
    }
    return RunSettings(**{**values, **changes})


def weights(run):
    return torch.load(run / "final" / "weights.pt", weights_only=True)


def losses(run):
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(event["step"], event["loss"]) for event in events if "loss" in event]


class CrashError(Exception):
    """Stands for a crash in the middle of a step."""


@pytest.mark.parametrize("kind", ["adamw", "muon"])
@pytest.mark.parametrize("crash_at", [1, 3, 4, 6])
def test_a_resumed_run_equals_an_undisturbed_one_bit_for_bit(tmp_path, crash_at, kind):
    wanted = settings(optimizer=OptimizerSettings(kind=kind, lr=0.05, warmup_steps=2))
    fit(Regression(), wanted, tmp_path / "whole")

    task = Regression()
    compute = task.loss

    def crash(batch):
        if task.calls == crash_at - 1:
            raise CrashError
        return compute(batch)

    task.loss = crash
    with pytest.raises(CrashError):
        fit(task, wanted, tmp_path / "parts")
    fit(Regression(), wanted, tmp_path / "parts", resume=True)

    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for name, weight in weights(tmp_path / "whole").items():
        assert torch.equal(weight, weights(tmp_path / "parts")[name]), name


def halves(index):
    """Squares of eight in two parts of different size."""
    (whole,) = Squares(8)[index]
    return [
        {**{key: whole[key][part] for key in ("inputs", "targets")}, "supervised": part.stop - part.start}
        for part in (slice(0, 3), slice(3, 8))
    ]


class AsMicroBatches(Dataset):
    def __getitem__(self, index):
        return [halves(index // 2)[index % 2]]


class AsParts(Dataset):
    def __getitem__(self, index):
        return halves(index)


@pytest.mark.parametrize(("dataset", "accumulation"), [(AsMicroBatches(), 2), (AsParts(), 1)])
def test_a_batch_in_pieces_equals_one_whole(tmp_path, dataset, accumulation):
    def without_dropout(size):
        task = Regression(size)
        task.model[1] = nn.Identity()
        return task

    large, small = without_dropout(8), without_dropout(8)
    small.dataset = dataset
    fit(large, settings(), tmp_path / "large")
    fit(small, settings(accumulation=accumulation), tmp_path / "small")
    for name, weight in weights(tmp_path / "large").items():
        torch.testing.assert_close(weight, weights(tmp_path / "small")[name], msg=name)


def test_the_loss_falls(tmp_path):
    fit(Regression(size=64), settings(steps=150, save_every=150, evaluate_every=150), tmp_path / "run")
    values = [value for _, value in losses(tmp_path / "run")]
    assert sum(values[-20:]) < 0.6 * sum(values[:20])


def test_a_run_leaves_settings_log_plot_and_result(tmp_path):
    fit(Regression(), settings(), tmp_path / "run")
    record = json.loads((tmp_path / "run" / "training.json").read_text())
    assert record["settings"]["steps"] == 6
    assert "torch" in record["versions"]
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "run" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert record["data"] == [{"numbers": "drawn"}]
    (sample,) = json.loads((tmp_path / "run" / "samples.json").read_text())
    assert sample["expected"] == "2"
    assert sample["before"] != sample["after"] == f"{float(weights(tmp_path / 'run')['0.weight'].sum()):.6f}"


def drawn(run):
    """Scalars of a run's TensorBoard files by name and step, as TensorBoard shows them: what is purged is left out."""
    found = {}
    for path in sorted((run / "tensorboard").iterdir(), key=lambda path: path.stat().st_mtime_ns):
        content = path.read_bytes()
        while content:  # a record: length, its checksum, the event, its checksum
            length = int.from_bytes(content[:8], "little")
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            if event.session_log.status == SessionLog.START:
                found = {key: value for key, value in found.items() if key[1] < event.step}
            for value in event.summary.value:
                found[value.tag, event.step] = value.simple_value
    return found


def test_tensorboard_shows_the_log_also_of_a_resumed_run(tmp_path):
    fit(Regression(), settings(), tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints" / "step-0000006")
    fit(Regression(), settings(steps=5), tmp_path / "run", resume=True)
    shown = drawn(tmp_path / "run")
    loss = {step: value for (name, step), value in shown.items() if name == "training/loss"}
    assert loss == pytest.approx(dict(losses(tmp_path / "run")))
    assert sorted(loss) == [1, 2, 3, 4, 5]
    assert ("evaluation/zero", 3) in shown


def test_half_a_line_that_a_crash_left_in_the_log_is_dropped(tmp_path):
    fit(Regression(), settings(), tmp_path / "run")
    with (tmp_path / "run" / "log.jsonl").open("a") as file:
        file.write('{"loss": 0.')
    fit(Regression(), settings(steps=8), tmp_path / "run", resume=True)
    assert [step for step, _ in losses(tmp_path / "run")] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path):
    with pytest.raises(DataError, match="step 2: loss nan"):
        fit(Regression(spoil_at=3), settings(), tmp_path / "run")


def test_an_existing_run_is_not_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="exists; give --resume"):
        fit(Regression(), settings(), tmp_path)


def test_a_half_written_checkpoint_is_never_loaded(tmp_path):
    fit(Regression(), settings(), tmp_path / "run")
    root = tmp_path / "run" / "checkpoints"
    (root / ".partial-0000099-1").mkdir()
    (root / ".partial-0000099-1" / "state.pt").write_bytes(b"half")
    assert load_newest_checkpoint(tmp_path / "run")["step"] == 6
    assert list(root.glob(".partial-*"))  # another process might be writing it
    save_checkpoint(tmp_path / "run", 8, {"step": 8}, keep=2)
    assert not list(root.glob(".partial-*"))


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(tmp_path, capsys):
    fit(Regression(), settings(), tmp_path / "run")
    older, newest = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))
    content = bytearray((newest / "state.pt").read_bytes())
    content[len(content) // 2] ^= 1
    (newest / "state.pt").write_bytes(content)
    assert load_newest_checkpoint(tmp_path / "run")["step"] == 4
    assert "step-0000006 is damaged" in capsys.readouterr().err

    (older / "state.pt").unlink()
    with pytest.raises(CheckpointError, match="all 2 checkpoints are damaged"):
        load_newest_checkpoint(tmp_path / "run")


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    fit(Regression(), settings(save_every=1), tmp_path / "run")
    kept = sorted(path.name for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert kept == ["step-0000005", "step-0000006"]


def test_exactly_the_named_parameters_are_trained():
    model = Regression().model
    set_trainable(model, ("3.",))
    assert [name for name, weight in model.named_parameters() if weight.requires_grad] == [
        "3.weight",
        "3.bias",
    ]
    assert trainable_table(model).splitlines()[-1].split() == ["all", "9", "41"]
    with pytest.raises(ConfigError, match=r"starts with 'lora'"):
        set_trainable(model, ("lora",))


def test_components_have_learning_rates_of_their_own():
    model = Regression().model
    optimizer = build_optimizer(model, OptimizerSettings(lr=0.1, component_lr={"3.": 0.5}, weight_decay=0.2))
    rates = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    found = {name: rates[id(weight)] for name, weight in model.named_parameters()}
    assert found == {
        "0.weight": (0.1, 0.2),
        "0.bias": (0.1, 0.0),
        "3.weight": (0.5, 0.2),
        "3.bias": (0.5, 0.0),
    }
    with pytest.raises(ConfigError, match="no trainable parameter: vision"):
        build_optimizer(model, OptimizerSettings(lr=0.1, component_lr={"vision": 0.5}))


def test_muon_takes_the_matrices_and_adamw_the_rest():
    torch.manual_seed(0)
    model = nn.ModuleDict(
        {
            "words": nn.Embedding(5, 4),
            "picture": nn.Conv2d(3, 4, 2),
            "layer": nn.Linear(4, 6),
            "norm": nn.LayerNorm(6),
            "head": ContrastiveHead(5, 4, 3),
        }
    )
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    optimizer = build_optimizer(model, OptimizerSettings(kind="muon", lr=0.01, weight_decay=0.0))
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    optimizer.step()
    steps = {name: (before[name] - weight).detach() for name, weight in model.named_parameters()}
    # AdamW's first step has the same size everywhere; Muon's is near a multiple of an orthogonal matrix.
    for name in ("words.weight", "picture.weight", "layer.bias", "norm.weight", "head.image.weight"):
        torch.testing.assert_close(
            steps[name].abs(), torch.full_like(steps[name], 0.01), rtol=1e-3, atol=1e-6
        )
    singular = torch.linalg.svdvals(steps["layer.weight"]) / (0.01 * 0.2 * 6**0.5)
    assert singular.min() > 0.5
    assert singular.max() < 1.5


def test_a_schedule_moves_both_optimizers_also_after_loading():
    def make():
        torch.manual_seed(0)
        optimizer = build_optimizer(nn.Linear(3, 3), OptimizerSettings(kind="muon", lr=0.1, warmup_steps=0))
        return optimizer, build_schedule(optimizer, OptimizerSettings(lr=0.1, warmup_steps=0), 10)

    optimizer, schedule = make()
    optimizer.step()
    schedule.step()
    loaded, following = make()
    loaded.load_state_dict(optimizer.state_dict())
    following.load_state_dict(schedule.state_dict())
    following.step()
    rates = [group["lr"] for part in loaded._parts for group in part.param_groups]
    assert rates == following.get_last_lr()
    assert rates[0] < 0.1
