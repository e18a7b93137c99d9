"""Loading models by name: what is supported, what is refused, and that nothing is loaded half."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from videollm import VideoLLM, load_model
from videollm.checkpoints import ModelDirectory, find_model
from videollm.errors import CheckpointError, ConfigError, UnsupportedModelError
from videollm_train.record import RECORD_FILE

# peft asks transformers under a name that the newest transformers calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")

PROMPT = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture
def copied(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copied"))


@pytest.fixture
def adapter(tiny_checkpoint: Path, tmp_path: Path) -> tuple[Path, VideoLLM]:
    """An adapter directory over the tiny checkpoint, and the adapted model as it was in training."""
    torch.manual_seed(3)
    adapted = get_peft_model(
        load_model(tiny_checkpoint),
        LoraConfig(
            r=2,
            target_modules=r"language_model\..*\.(q_proj|v_proj)",
            modules_to_save=["projector"],
            init_lora_weights=False,
        ),
    )
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "projector.modules_to_save" in name:
                weight.add_(0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter", adapted.eval()


def logits(model: VideoLLM) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=PROMPT).logits


def test_a_checkpoint_directory_loads_ready_to_be_asked(tiny_checkpoint: Path) -> None:
    model = load_model(tiny_checkpoint, device="cpu")
    assert not model.training
    assert model.dtype == torch.float32
    assert model.processor is not None
    assert model.processor.tokenizer.decode(model.processor.tokenizer.encode("a red star")) == "a red star"


@pytest.mark.parametrize("spelling", ["bfloat16", "bf16", torch.bfloat16])
def test_the_precision_is_chosen_by_name(tiny_checkpoint: Path, spelling: str | torch.dtype) -> None:
    assert load_model(tiny_checkpoint, dtype=spelling).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu0"}, "device 'tpu0' cannot be used here"),
        ({"device": "cpu", "device_map": "auto"}, "device and device_map exclude each other"),
        ({"device_map": {"": "disk"}}, "leaves .* on disk"),
        ({"dtype": "int3"}, "dtype must be float32, bfloat16, float16 or auto, got 'int3'"),
        ({"load_in_4bit": True, "load_in_8bit": True}, "exclude each other"),
    ],
)
def test_impossible_options_are_refused(
    tiny_checkpoint: Path, options: dict[str, str | bool], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_model(tiny_checkpoint, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["nowhere", "/tmp"])
def test_other_models_are_refused_with_what_is_supported(name: str) -> None:
    with pytest.raises(UnsupportedModelError, match="a model is 'pocket'"):
        load_model(name)


def test_a_run_means_its_result(
    adapter: tuple[Path, VideoLLM], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    run, over = tmp_path / "run", tmp_path / "over"
    shutil.copytree(tiny_checkpoint, run / "final")
    (run / RECORD_FILE).write_text("{}")
    torch.testing.assert_close(logits(load_model(run)), logits(load_model(tiny_checkpoint)))
    # So does the base of an adapter that was learnt over it.
    path = adapter[0] / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {"base_model_name_or_path": str(run)}))
    over.mkdir()
    adapter[0].rename(over / "final")
    torch.testing.assert_close(logits(load_model(over)), logits(adapter[1]), atol=1e-4, rtol=1e-4)
    assert find_model(over) == ModelDirectory(str(over), run / "final", over / "final")


def test_a_run_that_has_not_ended_is_told_from_other_directories(tmp_path: Path) -> None:
    (tmp_path / RECORD_FILE).write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"this training run has not ended, .* --resume"):
        load_model(tmp_path)
    (tmp_path / "final").mkdir()
    with pytest.raises(UnsupportedModelError, match=r"the directory holds no config\.json"):
        load_model(tmp_path)


def test_a_model_of_another_kind_is_refused(copied: Path) -> None:
    (copied / "config.json").write_text(json.dumps({"model_type": "dancer"}), encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match="models of type 'dancer' cannot be loaded"):
        load_model(copied)


def drop_a_weight(weights: dict[str, torch.Tensor]) -> None:
    del weights["projector.norm.weight"]


def add_a_weight(weights: dict[str, torch.Tensor]) -> None:
    weights["projector.extra"] = torch.zeros(2)


@pytest.mark.parametrize("spoil", [drop_a_weight, add_a_weight])
def test_missing_and_unexpected_weights_are_errors(
    copied: Path, spoil: Callable[[dict[str, torch.Tensor]], None]
) -> None:
    weights = load_file(copied / "model.safetensors")
    spoil(weights)
    save_file(weights, copied / "model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="projector"):
        load_model(copied)


def test_broken_files_are_named_in_one_line(copied: Path) -> None:
    (copied / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="the weights cannot be loaded") as raised:
        load_model(copied)
    assert "\n" not in str(raised.value)
    (copied / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"config\.json: it cannot be read as JSON"):
        find_model(copied)


def test_an_adapter_is_folded_into_its_base(adapter: tuple[Path, VideoLLM]) -> None:
    directory, trained = adapter
    loaded = load_model(directory)
    assert isinstance(loaded, VideoLLM)
    assert torch.allclose(logits(loaded), logits(trained), atol=1e-5)
    assert not any("lora" in name for name, _ in loaded.named_parameters())


def test_an_adapter_with_a_missing_weight_is_refused(adapter: tuple[Path, VideoLLM]) -> None:
    weights = load_file(adapter[0] / "adapter_model.safetensors")
    del weights[next(name for name in weights if "q_proj.lora_A" in name)]
    save_file(weights, adapter[0] / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="the adapter lacks 1 weights"):
        load_model(adapter[0])


def test_an_adapter_whose_base_is_gone_says_so(adapter: tuple[Path, VideoLLM]) -> None:
    path = adapter[0] / "adapter_config.json"
    config = json.loads(path.read_text("utf-8")) | {"base_model_name_or_path": "gone"}
    path.write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match="goes over 'gone', which is no directory here"):
        load_model(adapter[0])


def test_only_the_language_model_is_quantised(tiny_checkpoint: Path) -> None:
    model = load_model(tiny_checkpoint, load_in_8bit=True, device="cpu")
    quantised = {name for name, part in model.named_modules() if type(part).__name__ == "Linear8bitLt"}
    assert quantised
    assert all(name.startswith("language_model.model.") for name in quantised)
    assert torch.isfinite(logits(model)).all()
