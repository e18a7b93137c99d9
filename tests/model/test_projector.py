"""The projector: what it reads of times, and that it reads them where asked only."""

import pytest
import torch

from videollm.errors import ConfigError
from videollm.model.projector import Projector
from videollm.model.settings import ProjectorSettings


def test_times_are_read_beside_the_token():
    torch.manual_seed(0)
    projector = Projector(ProjectorSettings(layers=1, time_frequencies=2), token_width=6, text_width=5)
    tokens = torch.randn(3, 6)
    spans = torch.tensor([[0.0, 1.0], [0.0, 1.3], [2.0, 4.0]])
    told = projector(tokens, spans)
    # Sines and cosines of the periods 1 s and 64 s, of starts, then of ends.
    phases = spans[..., None] * torch.tensor([1.0, 1 / 64]) * 2 * torch.pi
    features = torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(1)
    by_hand = projector.layers(torch.cat([projector.norm(tokens), features], dim=1))
    torch.testing.assert_close(told, by_hand)
    assert not torch.allclose(told[:2], projector(tokens, spans.roll(1, 0))[:2])


def test_without_times_spans_change_nothing():
    projector = Projector(ProjectorSettings(), token_width=6, text_width=5)
    tokens = torch.randn(3, 6)
    assert projector(tokens).equal(projector(tokens, torch.rand(3, 2)))


@pytest.mark.parametrize("periods", [(0.0, 4.0), (4.0, 4.0), (float("nan"), 4.0)])
def test_periods_are_in_order(periods):
    with pytest.raises(ConfigError, match="shortest_period_s must be above 0 and below longest_period_s"):
        ProjectorSettings(shortest_period_s=periods[0], longest_period_s=periods[1])
