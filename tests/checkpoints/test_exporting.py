"""Folding an adapter in: proven on the written files, and refused where it does not hold."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from videollm import load_model
from videollm.checkpoints import exporting
from videollm.checkpoints.exporting import export_model
from videollm.errors import CheckpointError, ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
PROMPT = torch.tensor([[5, 6, 7, 8]])


@pytest.fixture(scope="module", params=["lora", "rslora", "dora"])
def adapter(request, tiny_checkpoint, tmp_path_factory):
    """An adapter directory of each variant, all of its weights drawn at random."""
    directory = tmp_path_factory.mktemp("adapter") / request.param
    config = LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=r"language_model\..*\.(q_proj|v_proj|up_proj)",
        modules_to_save=["projector"],
        init_lora_weights=False,
        use_rslora=request.param == "rslora",
        use_dora=request.param == "dora",
    )
    torch.manual_seed(3)
    adapted = get_peft_model(load_model(tiny_checkpoint), config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "projector.modules_to_save" in name or "magnitude" in name:
                weight.mul_(1.1)
    adapted.peft_config["default"].base_model_name_or_path = str(tiny_checkpoint)
    adapted.save_pretrained(directory)
    (directory / "README.md").write_text("# What was learnt\n")
    return directory


def test_what_is_exported_says_what_the_adapter_said(adapter, tmp_path):
    exported = export_model(adapter, tmp_path / "whole")
    assert (exported.difference < 1e-3, exported.same_words) == (True, 1.0)
    whole, folded = load_model(tmp_path / "whole"), load_model(adapter)
    with torch.no_grad():
        torch.testing.assert_close(whole(input_ids=PROMPT).logits, folded(input_ids=PROMPT).logits)
    assert not (tmp_path / "whole" / "adapter_config.json").exists()
    assert (tmp_path / "whole" / "README.md").read_text() == (adapter / "README.md").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]


def test_half_precision_is_held_to_what_it_can(adapter, tmp_path):
    exported = export_model(adapter, tmp_path / "half", dtype="float16")
    assert 0 < exported.difference < 0.02
    weights = load_file(tmp_path / "half" / "model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.float16}


def test_a_folding_that_says_something_else_is_not_written(adapter, tmp_path, monkeypatch):
    load = exporting.load_adapted

    def stronger(found):
        model = load(found)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.mul_(2)
        return model

    monkeypatch.setattr(exporting, "load_adapted", stronger)
    with pytest.raises(CheckpointError, match="the adapter says something else"):
        export_model(adapter, tmp_path / "whole")
    assert list(tmp_path.iterdir()) == []


def test_only_adapters_are_exported_and_nothing_is_replaced_unasked(adapter, tiny_checkpoint, tmp_path):
    with pytest.raises(ConfigError, match="this is a whole model"):
        export_model(tiny_checkpoint, tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    with pytest.raises(ConfigError, match="give --overwrite"):
        export_model(adapter, tmp_path / "whole")
    assert export_model(adapter, tmp_path / "whole", overwrite=True).same_words == 1.0


def test_an_adapter_that_lost_a_weight_is_refused(adapter, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text())
    weights = load_file(adapter / "adapter_model.safetensors")
    weights.pop(sorted(weights)[0])
    save_file(weights, broken / "adapter_model.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="the adapter lacks 1 weights"):
        export_model(broken, tmp_path / "whole")
