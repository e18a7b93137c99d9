"""Video-LLaMA's second Q-Former (Zhang et al., arXiv 2306.02858): queries that read what the first gave of all frames.

Each frame's tokens are marked with a learned vector of its number, then 32 queries read all of them: a whole video is
32 tokens, however long it is. More frames than there are vectors take vectors in between.

Shapes: T frames, Q tokens of a frame, H their width, V queries of the video.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .frame_queries import FrameQueries
from .settings import VideoQueriesSettings


class VideoQueries(nn.Module):
    """Marks frames with their number and reads all of them with one set of queries.

    Attributes:
        positions: A vector for each frame, (most frames, H).
        queries: The queries and their Q-Former.
    """

    def __init__(self, settings: VideoQueriesSettings, width: int) -> None:
        """Builds the module with fresh weights.

        Args:
            settings: Its sizes.
            width: Width H of the frames' tokens.
        """
        super().__init__()
        self.positions = nn.Embedding(settings.frames, width)
        self.queries = FrameQueries(settings.queries, width)

    def forward(self, frames_TQH: Tensor) -> Tensor:
        """Returns what the queries read of the whole video, (1, V, H)."""
        marked_TQH = frames_TQH + self._places(len(frames_TQH))[:, None].to(frames_TQH.dtype)
        read: Tensor = self.queries(marked_TQH.flatten(0, 1)[None])
        return read

    def _places(self, frames: int) -> Tensor:
        table_FH = self.positions.weight
        if frames <= len(table_FH):
            return table_FH[:frames]
        stretched_1HT = F.interpolate(table_FH.T[None], size=frames, mode="linear", align_corners=True)
        return stretched_1HT[0].T
