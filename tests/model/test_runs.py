"""Runs of different lengths, merged together, equal each alone."""

from functools import partial

import pytest
import torch

from videollm.errors import ConfigError
from videollm.model import runs as runs_module
from videollm.model.merging import merge_tokens
from videollm.model.quantization import cluster_tokens
from videollm.model.runs import merge_runs

LENGTHS, TARGETS = [12, 7, 12, 1, 12], [5, 7, 5, 1, 3]


def seeded(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("most", [1, 200, 10**9])
@pytest.mark.parametrize(
    "merge", [partial(merge_tokens, heads=2, share=0.4), partial(cluster_tokens, heads=2)]
)
def test_runs_merge_as_if_each_were_alone_however_many_share_a_batch(merge, most, monkeypatch):
    monkeypatch.setattr(runs_module, "_MAX_FEATURES", most)
    tokens, sizes, positions = seeded(13, 44, 6), torch.arange(1.0, 45), seeded(14, 44, 3)
    merged = merge_runs(tokens, LENGTHS, TARGETS, sizes=sizes, positions=positions, merge=merge)
    kept = 0
    columns = [torch.split(column, LENGTHS) for column in (tokens, sizes, positions, merged.sources)]
    for run, weights, places, sources, target in zip(*columns, TARGETS, strict=True):
        alone = merge(run[None], target, sizes=weights[None], positions=places[None])
        part = slice(kept, kept + target)
        torch.testing.assert_close(merged.tokens[part], alone.tokens[0])
        torch.testing.assert_close(merged.sizes[part], alone.sizes[0])
        torch.testing.assert_close(merged.positions[part], alone.positions[0])
        assert torch.equal(sources - kept, alone.sources[0])
        kept += target


@pytest.mark.parametrize("merge", [merge_tokens, cluster_tokens])
def test_without_sizes_each_token_counts_once_and_without_positions_there_are_none(merge):
    tokens, positions = seeded(13, 44, 6), seeded(14, 44, 3)
    plain = merge_runs(tokens, LENGTHS, TARGETS, merge=merge)
    full = merge_runs(tokens, LENGTHS, TARGETS, sizes=torch.ones(44), positions=positions, merge=merge)
    assert plain.positions is None
    assert torch.equal(plain.tokens, full.tokens)
    assert torch.equal(plain.sizes, full.sizes)
    assert torch.equal(plain.sources, full.sources)
    torch.testing.assert_close(
        merge_runs(tokens, LENGTHS, TARGETS, positions=positions, merge=merge).positions, full.positions
    )


@pytest.mark.parametrize(
    ("lengths", "targets", "message"),
    [
        ([], [], "at least one run, and a target for each length, got 0 lengths and 0 targets"),
        ([4, 5], [2], "got 2 lengths and 1 targets"),
        ([4, 0, 5], [2, 0, 2], r"lengths\[1\] must be a whole number of at least 1, got 0"),
        ([4, 5.0], [2, 2], r"lengths\[1\] must be a whole number of at least 1, got 5.0"),
        ([4, 5], [2, 6], r"targets\[1\] must be a whole number from 1 to 5, the length of the run, got 6"),
        ([4, 5], [0, 2], r"targets\[0\] must be a whole number from 1 to 4"),
        ([4, 4], [2, 2], "lengths must sum to the 9 tokens, got a sum of 8"),
    ],
)
def test_impossible_runs_are_refused(lengths, targets, message):
    with pytest.raises(ConfigError, match=message):
        merge_runs(torch.zeros(9, 4), lengths, targets, merge=merge_tokens)


@pytest.mark.parametrize(
    ("shape", "columns", "message"),
    [
        ((1, 9, 4), {}, r"tokens must be a tensor \(N, C\)"),
        ((0, 4), {}, "must have N of at least 1"),
        ((9, 4), {"sizes": torch.ones(8)}, r"sizes must be a tensor \(9,\)"),
        ((9, 4), {"positions": torch.ones(9)}, r"positions must be a tensor \(9, P\)"),
    ],
)
def test_columns_that_do_not_fit_are_refused(shape, columns, message):
    with pytest.raises(ConfigError, match=message):
        merge_runs(torch.zeros(shape), [4, 5], [2, 2], merge=merge_tokens, **columns)
