"""What Trainer, PEFT and quantisation configs expect of a model."""

from __future__ import annotations

import pytest
import torch
from transformers import BitsAndBytesConfig

from videollm.model import VideoLLM
from videollm.model.encoding import VISUAL_PARTS
from videollm.values import Message

QUESTION = [Message("user", "<video>\nWhat does the red star do?")]
LORA_TARGETS = r"language_model\..*\.(q_proj|k_proj|v_proj|o_proj)"


@pytest.fixture
def loss_of(processor, encode, inputs_of):
    """Gives a model's loss of one answer about one video."""

    def loss_of(model):
        messages = [*QUESTION, Message("assistant", "moves left")]
        batch = processor(messages, [encode()], add_generation_prompt=False)
        return model(**inputs_of(batch), labels=batch["labels"]).loss

    return loss_of


def test_gradient_checkpointing_gives_the_same_gradients(model, loss_of):
    model.train()
    loss_of(model).backward()
    plain = {name: weight.grad.clone() for name, weight in model.language_model.named_parameters()}
    model.zero_grad()
    # Its name from transformers 5.2x on; the older one warns there.
    enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    enable()
    assert any(getattr(layer, "gradient_checkpointing", False) for layer in model.language_model.modules())
    loss_of(model).backward()
    for name, weight in model.language_model.named_parameters():
        torch.testing.assert_close(weight.grad, plain[name])


def test_the_vocabulary_can_grow(model, loss_of):
    before = loss_of(model)
    size = model.config.text_config.vocab_size
    model.resize_token_embeddings(size + 8, mean_resizing=False)
    assert model.config.text_config.vocab_size == size + 8 == model.language_model.config.vocab_size
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    after = loss_of(model)
    assert after >= before
    assert (after - before).abs() < 0.5


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing.*:FutureWarning")  # PEFT asks by the older name
def test_a_lora_adapter_on_the_whole_model_trains_saves_and_loads(
    model, processor, noise, plan, tmp_path, inputs_of
):
    peft = pytest.importorskip("peft")
    model.save_pretrained(tmp_path / "base")
    config = peft.LoraConfig(
        r=4,
        target_modules=LORA_TARGETS,
        modules_to_save=["compressor", "projector"],
        task_type="CAUSAL_LM",
    )
    tuned = peft.get_peft_model(model, config)
    trainable = {name for name, weight in tuned.named_parameters() if weight.requires_grad}
    assert trainable
    assert all("lora_" in name or "modules_to_save" in name for name in trainable)
    assert not any("vision" in name for name in trainable)
    kept = [model.merge_video(noise(), plan)]
    optimizer = torch.optim.AdamW([w for w in tuned.parameters() if w.requires_grad], lr=0.01)
    messages = [*QUESTION, Message("assistant", "moves left")]
    batch = processor(messages, [model.encode_video(noise(), plan)], add_generation_prompt=False)
    losses = []
    for _ in range(6):
        rows = model.project_segments(kept, [model.plan_tokens(plan)])
        loss = tuned(**inputs_of(batch) | {"visual_tokens": torch.cat(rows)}, labels=batch["labels"]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    tuned.save_pretrained(tmp_path / "adapter")
    base = VideoLLM.from_pretrained(tmp_path / "base")
    base.attach(processor)
    loaded = peft.PeftModel.from_pretrained(base, tmp_path / "adapter").eval()
    tuned.eval()
    videos = [net.get_base_model().encode_video(noise(), plan) for net in (tuned, loaded)]
    assert videos[0].tokens_KD.equal(videos[1].tokens_KD)
    assert not videos[0].tokens_KD.equal(batch["visual_tokens"])
    batch = processor(QUESTION, videos[:1])
    with torch.no_grad():
        logits = [net(**inputs_of(batch)).logits for net in (tuned, loaded)]
    assert logits[0].equal(logits[1])
    ids = [net.generate(**inputs_of(batch), max_new_tokens=6, do_sample=False) for net in (tuned, loaded)]
    assert ids[0].equal(ids[1])
    merged = loaded.merge_and_unload()
    with torch.no_grad():
        torch.testing.assert_close(merged(**inputs_of(batch)).logits, logits[0], atol=1e-4, rtol=1e-3)
    merged.save_pretrained(tmp_path / "merged")
    again = VideoLLM.from_pretrained(tmp_path / "merged")
    assert all(map(torch.equal, again.state_dict().values(), merged.state_dict().values()))


@pytest.mark.parametrize("bits", [4, 8])
def test_it_loads_quantised_with_the_visual_part_in_full(make_model, noise, plan, tmp_path, bits, inputs_of):
    pytest.importorskip("bitsandbytes")
    model = make_model(
        text_config={"hidden_size": 64, "intermediate_size": 128, "tie_word_embeddings": False}
    )
    model.save_pretrained(tmp_path)
    skipped = [*VISUAL_PARTS, "language_model.lm_head"]
    options = {"load_in_4bit": True} if bits == 4 else {"load_in_8bit": True}
    quantised = VideoLLM.from_pretrained(
        tmp_path, quantization_config=BitsAndBytesConfig(**options, llm_int8_skip_modules=skipped)
    )
    kind = f"Linear{'4bit' if bits == 4 else '8bitLt'}"
    assert type(quantised.language_model.model.layers[0].self_attn.q_proj).__name__ == kind
    assert type(quantised.vision.tower.encoder.layers[0].mlp.fc1) is torch.nn.Linear
    quantised.attach(model.processor)
    video = quantised.encode_video(noise(), plan)
    batch = model.processor(QUESTION, [video])
    ids = quantised.generate(**inputs_of(batch), max_new_tokens=3, do_sample=False)
    assert ids.shape[1] > batch["input_ids"].shape[1]
