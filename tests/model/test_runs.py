"""Runs of different lengths, merged together, equal each alone."""

from functools import partial

import pytest
import torch

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
