"""The projector: what it reads of times and places, and that it reads them where asked only."""

import pytest
import torch

from videollm.errors import ConfigError
from videollm.model.projector import Projector
from videollm.model.settings import ProjectorSettings

SPANS = torch.tensor([[0.0, 1.0], [0.0, 1.3], [2.0, 4.0]])
PLACES = torch.tensor([[[0.1, 0.5], [0.1, 0.5]], [[0.9, 0.2], [0.3, 0.2]], [[0.5, 0.5], [0.5, 0.5]]])
EXTENTS = torch.cat([SPANS[..., None], PLACES], dim=-1)


def written(values: torch.Tensor, periods: tuple[float, float]) -> torch.Tensor:
    """Of each value the sines, then the cosines."""
    phases = values[..., None] / torch.tensor(periods) * 2 * torch.pi
    return torch.cat([phases.sin(), phases.cos()], dim=-1).flatten(1)


@pytest.mark.parametrize(("times", "places"), [(2, 0), (0, 2), (2, 2)])
def test_times_and_places_are_read_beside_the_token(times, places):
    torch.manual_seed(0)
    settings = ProjectorSettings(layers=1, time_frequencies=times, place_frequencies=places)
    projector = Projector(settings, token_width=6, text_width=5)
    tokens = torch.randn(3, 6)
    told = projector(tokens, EXTENTS)
    features = [projector.norm(tokens)]
    features += [written(SPANS, (1.0, 64.0))] * bool(times) + [written(PLACES, (1 / 16, 2.0))] * bool(places)
    torch.testing.assert_close(told, projector.layers(torch.cat(features, dim=1)))
    assert not torch.allclose(told[:2], projector(tokens, EXTENTS.roll(1, 0))[:2])


def test_where_they_are_not_asked_for_extents_change_nothing():
    projector = Projector(ProjectorSettings(), token_width=6, text_width=5)
    tokens = torch.randn(3, 6)
    assert projector(tokens).equal(projector(tokens, EXTENTS))


@pytest.mark.parametrize("periods", [(0.0, 4.0), (4.0, 4.0), (float("nan"), 4.0)])
def test_periods_are_in_order(periods):
    with pytest.raises(ConfigError, match="shortest_period_s must be above 0 and below longest_period_s"):
        ProjectorSettings(shortest_period_s=periods[0], longest_period_s=periods[1])
