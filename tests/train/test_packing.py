"""Packed conversations are trained exactly as if each stood in a row of its own."""

import random

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from videollm.model.prompting import IGNORED, RenderedPrompt
from videollm_train.packing import join, pack, packed_mask, pad_rows


def prompt(ids: list[int], learnt: int) -> RenderedPrompt:
    """A prompt of which the last ``learnt`` ids carry loss."""
    edge = len(ids) - learnt
    return RenderedPrompt(ids, [IGNORED] * edge + ids[edge:], "")


@st.composite
def conversations(draw: st.DrawFn) -> list[RenderedPrompt]:
    """Conversations that begin alike, some of them alike to their end."""
    shared = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    ends = draw(st.lists(st.lists(st.integers(1, 3), min_size=2, max_size=5), min_size=1, max_size=4))
    return [prompt(shared + end, draw(st.integers(1, len(end)))) for end in ends]


@given(conversations())
def test_a_packed_row_holds_every_conversation(prompts: list[RenderedPrompt]) -> None:
    row = pack(prompts)
    assert sum(label != IGNORED for label in row.labels) == sum(
        label != IGNORED for prompt in prompts for label in prompt.labels
    )
    for number, one in enumerate(prompts, start=1):
        own = [place for place, owner in enumerate(row.owners) if owner in (0, number)]
        assert [row.input_ids[place] for place in own] == one.input_ids
        assert [row.positions[place] for place in own] == list(range(len(one.input_ids)))
        assert [row.labels[place] for place in own] == one.labels


@given(conversations())
def test_what_predicts_a_label_stands_before_it(prompts: list[RenderedPrompt]) -> None:
    row = pack(prompts)
    for place, label in enumerate(row.labels):
        if label != IGNORED:
            assert row.owners[place] == row.owners[place - 1] > 0


@given(st.lists(conversations(), min_size=1, max_size=4))
def test_blocks_of_a_joined_row_see_what_they_see_alone(groups: list[list[RenderedPrompt]]) -> None:
    rows = [pack(group) for group in groups]
    joined = pad_rows([join(rows)], 0)
    visible = packed_mask(joined["owners"], torch.float32)[0, 0] == 0
    start = 0
    for row in rows:
        length = len(row.input_ids)
        alone = packed_mask(torch.tensor([row.owners]), torch.float32)[0, 0] == 0
        block = slice(start, start + length)
        assert torch.equal(visible[block, block], alone)
        assert not visible[block, :start].any()
        assert joined["position_ids"][0, block].tolist() == row.positions
        start += length


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_packed_loss_and_gradient_are_those_of_separate_rows(attention: str, joined: bool) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        attn_implementation=attention,
    )
    model = LlamaForCausalLM(config)
    rng = random.Random(0)

    def ids(count: int) -> list[int]:
        return [rng.randrange(1, 50) for _ in range(count)]

    groups = []
    for turns in (3, 1, 4):
        shared = ids(6)
        groups.append([prompt(shared + ids(rng.randint(4, 9)), rng.randint(1, 3)) for _ in range(turns)])

    rows = [pack(group) for group in groups]
    batch = pad_rows([join(rows)] if joined else rows, 0)
    logits = model(
        input_ids=batch["input_ids"],
        attention_mask=packed_mask(batch["owners"], torch.float32),
        position_ids=batch["position_ids"],
        use_cache=False,
    ).logits
    packed = F.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), reduction="sum", ignore_index=IGNORED
    )
    packed.backward()
    packed_gradient = [weight.grad.clone() for weight in model.parameters() if weight.grad is not None]
    model.zero_grad()

    separate = torch.zeros(())
    for one in [one for group in groups for one in group]:
        alone = model(input_ids=torch.tensor([one.input_ids]), use_cache=False).logits[0]
        separate = separate + F.cross_entropy(
            alone[:-1], torch.tensor(one.labels[1:]), reduction="sum", ignore_index=IGNORED
        )
    separate.backward()
    torch.testing.assert_close(packed, separate)
    for ours, weight in zip(packed_gradient, model.parameters(), strict=True):
        assert weight.grad is not None
        torch.testing.assert_close(ours, weight.grad, atol=1e-4, rtol=1e-4)
