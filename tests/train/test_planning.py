"""What a stage would take is told before it runs: counted without weights, and equal to what then is there."""

from pathlib import Path

import pytest
import torch

from videollm.errors import ConfigError
from videollm_train.config import load_settings
from videollm_train.optimization import build_optimizer, trainable_table
from videollm_train.planning import look_ahead
from videollm_train.tuning import TuningTask
from videollm_train.tuning_settings import DataSource, Instruction

CONFIGS = Path(__file__).parents[2] / "configs"
PRESETS = sorted(path.parent.name for path in CONFIGS.glob("*/start.yaml") if path.parent.name != "pocket")
# Parameters of the published models, see their model cards.
CLIP_L, SMALL, LARGE = 303_507_456, 494_032_768, 7_615_616_512


def settings(checkpoint, folder, **changes):
    fields = {
        "stage": "instruct",
        "model": checkpoint,
        "features": folder / "features",
        "data": [{"path": folder / "good.jsonl"}],
        "steps": 1,
        "batch_size": 2,
        "optimizer": {"lr": 1e-3},
        "workers": 0,
    }
    return Instruction.model_validate(fields | changes)


@pytest.mark.parametrize(
    "changes", [{}, {"fold": False}, {"lora": None}], ids=["folded", "adapter", "bridge"]
)
def test_what_is_told_is_what_is_there(folder, tiny_checkpoint, changes):
    wanted = settings(tiny_checkpoint, folder, **changes)
    told = look_ahead(wanted, Path("none.yaml"))
    model = TuningTask(wanted).model
    assert told.table == trainable_table(model)
    weights = sum(weight.nbytes for weight in model.parameters())
    assert told.memory["weights"] == weights
    optimizer = build_optimizer(model, wanted.optimizer)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.grad = torch.zeros_like(weight)
    optimizer.step()
    gradients = sum(weight.grad.nbytes for weight in model.parameters() if weight.grad is not None)
    states = sum(
        value.nbytes for state in optimizer.state.values() for value in state.values() if value.dim() > 0
    )
    assert (told.memory["gradients"], told.memory["optimizer"]) == (gradients, states)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_of_real_sizes_are_planned_without_their_weights(preset, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    limit = float(preset.rsplit("-", 1)[-1].removesuffix("gb").removeprefix("8x")) * 1e9 / 2**30
    for stage in ("align", "instruct"):
        path = CONFIGS / preset / f"{stage}.yaml"
        told = look_ahead(load_settings(path), path)
        rows = {line.split()[0]: line.split()[1:] for line in told.table.splitlines()}
        assert rows["vision"] == ["0", f"{CLIP_L:,}"]
        base = LARGE if "7b" in preset else SMALL
        adapted = int(rows["language_model"][0].replace(",", ""))
        assert int(rows["language_model"][1].replace(",", "")) == base + adapted
        assert (adapted > 0) == (stage == "instruct")
        assert 2 < sum(told.memory.values()) / 2**30 < 0.9 * limit


def test_that_processes_share_a_model_is_told(folder, tiny_checkpoint):
    alone, together = (
        str(look_ahead(settings(tiny_checkpoint, folder, sharded=sharded), Path("none.yaml")))
        for sharded in (False, True)
    )
    assert "memory of each process" in alone
    assert "several divide weights, gradients and optimizer among them" in together


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_packed_weights_are_counted_as_what_they_stand_for(folder, tiny_checkpoint):
    wanted = settings(tiny_checkpoint, folder, fold=False, quantize="4bit")
    assert trainable_table(TuningTask(wanted).model) == look_ahead(wanted, Path("none.yaml")).table


def test_what_is_not_there_yet_is_told(folder, tiny_checkpoint):
    ready = settings(tiny_checkpoint, folder)
    told = look_ahead(ready, Path("none.yaml"))
    assert told.missing == ()
    assert "not there yet" not in str(told)
    absent = DataSource(path=folder / "shards-*.jsonl"), DataSource(path=folder / "none.json")
    told = look_ahead(ready.model_copy(update={"data": absent}), Path("none.yaml"))
    assert told.missing == tuple(source.path for source in absent)
    assert str(told).endswith(f"not there yet: {absent[0].path}, {absent[1].path}")


def test_a_model_that_nothing_makes_is_an_error(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"no such model yet, and no .*start\.yaml"):
        look_ahead(settings(Path("runs/none/start"), folder), tmp_path / "instruct.yaml")
