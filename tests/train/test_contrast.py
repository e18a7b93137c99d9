"""The contrastive half of alignment, against its formula written out."""

import math

import pytest
import torch
from torch import nn

from videollm_train.contrast import TEMPERATURE, caption_contrast


@pytest.fixture
def words():
    torch.manual_seed(0)
    return nn.Embedding(20, 6)


def videos(count=2):
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(3 + number, 6, generator=generator, requires_grad=True) for number in range(count)]


def similarity(video, caption, words):
    """Mean over the words of the cosine between the pooled video and the word."""
    return torch.cosine_similarity(video.mean(0), words.weight[torch.tensor(caption)], dim=-1).mean()


def test_it_is_the_symmetric_loss_over_mean_cosines(words):
    seen, captions = videos(), [[1, 2, 3], [4, 5], [6, 7, 8, 9]]
    scores = torch.stack(
        [torch.stack([similarity(video, caption, words) for caption in captions]) for video in seen]
    )
    scores = scores / TEMPERATURE
    truth = torch.tensor([0, 1])
    expected = (
        nn.functional.cross_entropy(scores, truth) + nn.functional.cross_entropy(scores[:, :2].T, truth)
    ) / 2
    torch.testing.assert_close(caption_contrast(seen, captions, words), expected)


def test_a_caption_that_says_the_same_is_no_negative(words):
    seen = videos(1)
    assert caption_contrast(seen, [[1, 2], [1, 2]], words).item() == 0
    assert caption_contrast(seen, [[1, 2], [2, 1]], words).item() == pytest.approx(math.log(2) / 2, rel=1e-4)


def test_gradients_reach_the_videos_alone(words):
    seen = videos()
    caption_contrast(seen, [[1], [2], [3]], words).backward()
    assert all(video.grad.abs().sum() > 0 for video in seen)
    assert words.weight.grad is None
