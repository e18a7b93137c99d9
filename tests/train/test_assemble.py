"""Fresh compressors between published towers: parts in transformers' layout, saved by transformers' own classes."""

import pytest
import torch
from transformers import (
    AutoTokenizer,
    CLIPConfig,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
    SiglipVisionConfig,
)

from videollm.checkpoints import load_model
from videollm.errors import CheckpointError, ConfigError
from videollm.values import FramePlan, Message
from videollm_train.assemble import assemble
from videollm_train.settings import Assembly

EYES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
WORDS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def towers(tmp_path_factory, tiny_checkpoint):
    """A CLIP and a SigLIP of both towers, and two language models whose tokenizer knows nothing of videos."""
    root = tmp_path_factory.mktemp("towers")
    torch.manual_seed(0)
    vision = CLIPVisionConfig(image_size=28, patch_size=14, **EYES)
    CLIPModel(
        CLIPConfig(text_config=CLIPTextConfig(**EYES).to_dict(), vision_config=vision.to_dict())
    ).save_pretrained(root / "clip")
    siglip = SiglipVisionConfig(
        image_size=32, patch_size=14, **EYES
    )  # as published, not a whole number of patches
    both = SiglipConfig(text_config=SiglipTextConfig(**EYES).to_dict(), vision_config=siglip.to_dict())
    SiglipModel(both).save_pretrained(root / "siglip")
    tokenizer = AutoTokenizer.from_pretrained(tiny_checkpoint)
    for name, kind, config in (
        (
            "qwen",
            Qwen2ForCausalLM,
            Qwen2Config(num_key_value_heads=1, vocab_size=len(tokenizer) + 3, **WORDS),
        ),
        ("llama", LlamaForCausalLM, LlamaConfig(vocab_size=len(tokenizer), **WORDS)),
    ):
        kind(config).save_pretrained(root / name)
        tokenizer.save_pretrained(root / name)
    return root


def joined(towers, out, language="qwen", vision="clip", **model):
    settings = {"stage": "assemble", "vision": towers / vision, "language": towers / language}
    marks = {"placeholder": "<|seen|>", "vision_start": "<|eyes|>", "vision_end": None}
    assemble(Assembly.model_validate(settings | {"model": {"prompt": marks, **model}}), out)
    return load_model(str(out), device="cpu")


@pytest.mark.parametrize("language", ["qwen", "llama"])
def test_the_towers_are_those_of_the_files(towers, tmp_path, language):
    model = joined(towers, tmp_path / "model", language)
    clip = CLIPModel.from_pretrained(towers / "clip").eval()
    frames = torch.randn(2, 3, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = clip.vision_model(pixel_values=frames, output_hidden_states=True).hidden_states[-2][:, 1:]
        torch.testing.assert_close(model.vision(frames).patches_TPC, expected)
        theirs = {"qwen": Qwen2ForCausalLM, "llama": LlamaForCausalLM}[language]
        text = theirs.from_pretrained(towers / language).eval()
        ids = torch.tensor([[7, 8, 9, 20]])
        ours, logits = model(input_ids=ids).logits, text(input_ids=ids).logits
    # New tokens have got rows of their own, behind the old ones.
    torch.testing.assert_close(ours[..., : logits.shape[-1]], logits)


def test_a_siglip_tower_has_no_class_tokens(towers, tmp_path):
    bare = {"vision": "siglip", "compressor": {"kind": "merge", "memory_layers": 0}}
    model = joined(towers, tmp_path / "model", **bare)
    siglip = SiglipModel.from_pretrained(towers / "siglip").eval()
    frames = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = siglip.vision_model(pixel_values=frames, output_hidden_states=True).hidden_states[-2]
        seen = model.vision(frames)
    torch.testing.assert_close(seen.patches_TPC, expected)
    assert seen.patches_TPC.shape[1] == 4
    assert seen.cls_LTC.shape == (0, 2, 32)
    assert model.config.image.mean == (0.5, 0.5, 0.5)
    assert not any("head" in name for name, _ in model.vision.named_parameters())
    pictures = torch.randint(0, 256, (3, 3, 20, 30), dtype=torch.uint8)
    plan = FramePlan((0.5, 1.5, 2.5), ((0, 1), (1, 3)), 0.0, 3.0, True)
    video = model.encode_video(pictures, plan)
    prompt = model.processor.render([Message("user", "<video>\nWhat happens?")], [video])
    logits = model(input_ids=torch.tensor([prompt.input_ids]), visual_tokens=video.tokens_KD).logits
    assert logits.isfinite().all()
    with pytest.raises(ConfigError, match="0 class tokens of a frame to remember, got 2"):
        joined(
            towers, tmp_path / "refused", vision="siglip", compressor={"kind": "merge", "memory_layers": 2}
        )


def test_marks_that_a_tokenizer_lacks_are_added_and_work(towers, tmp_path):
    model = joined(towers, tmp_path / "model", "llama")
    known = len(AutoTokenizer.from_pretrained(towers / "llama"))
    tokenizer = model.processor.tokenizer
    assert len(tokenizer) == known + 2 == model.config.text_config.vocab_size
    assert model.config.placeholder_token_id >= known
    prompt = model.processor.render([Message("user", "Hello!")], [])
    assert "Hello!" in tokenizer.decode(prompt.input_ids)


def test_a_vision_tower_without_all_weights_is_refused(towers, tmp_path):
    other = CLIPVisionConfig(image_size=28, patch_size=14, **{**EYES, "num_hidden_layers": 4})
    whole = CLIPModel.from_pretrained(towers / "clip")
    whole.config.vision_config = other
    whole.save_pretrained(tmp_path / "clip")
    settings = {"stage": "assemble", "vision": tmp_path / "clip", "language": towers / "qwen"}
    with pytest.raises(CheckpointError, match=r"missing, first: .*layers\.3"):
        assemble(Assembly.model_validate(settings), tmp_path / "model")


def test_a_name_that_is_nowhere_is_one_line(towers, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    settings = {"stage": "assemble", "vision": towers / "clip", "language": "nobody/nothing"}
    with pytest.raises(
        ConfigError, match="nobody/nothing is no directory here and cannot be had from the hub"
    ):
        assemble(Assembly.model_validate(settings), tmp_path / "model")
