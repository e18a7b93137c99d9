"""How a video becomes visual tokens: the part of the model that is the same whichever language model reads them.

    frames ─vision─▶ patches ─compressor─▶ few tokens in order of time ─projector─▶ visual tokens

Shapes: T frames, K visual tokens, D width of the language model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, islice
from typing import TypeAlias

import torch
from torch import Tensor

from ..errors import ConfigError, DataError
from ..values import EncodedVideo, FramePlan, FrameStates
from .budget import TokenPlan
from .compressor import Compressor
from .configuration import VideoLLMConfig
from .encoder import FrameEncoder, Patches
from .evaluating import evaluating
from .hashing import hash_tensors
from .preprocessing import prepare
from .processing import VideoLLMProcessor
from .projector import Projector
from .segments import MergedSegments
from .tiling import plan_seen
from .video_queries import VideoQueries
from .whole_frames import WholeFrames, row_spans

#: First frame of a part of a video and the one past its last; ``None`` for all of it.
Part: TypeAlias = tuple[int, int] | None

#: Names of what visual tokens depend on; not every model has the last two.
VISUAL_PARTS = ("vision", "compressor", "projector", "whole_frames", "video_queries")


class VideoEncodingMixin:
    """What a model that holds an encoder, a compressor and a projector can do with them."""

    config: VideoLLMConfig
    device: torch.device
    vision: FrameEncoder
    compressor: Compressor
    projector: Projector
    whole_frames: WholeFrames
    video_queries: VideoQueries
    processor: VideoLLMProcessor | None
    _fingerprint: tuple[object, str] | None = None

    def plan_tokens(
        self, plan: FramePlan, max_visual_tokens: int | None = None, *, merged: MergedSegments | None = None
    ) -> TokenPlan:
        """Says how many visual tokens a video will take: before any frame is decoded, or once it is merged.

        Args:
            plan: The frame plan.
            max_visual_tokens: Most rows in the prompt; ``None`` for the configuration's default.
            merged: What :meth:`merge_video` gave; with it the plan is exact even if the compressor goes by content.

        Raises:
            ConfigError: The budget cannot be met.
        """
        seen = self.plan_seen(plan)
        return self.compressor.plan_tokens(seen, self._budget(max_visual_tokens), merged=merged)

    def plan_seen(self, plan: FramePlan) -> FramePlan:
        """Returns the plan of what the compressor gets, see :func:`~videollm.model.tiling.plan_seen`."""
        whole_videos = self.config.video_queries is not None
        return plan_seen(plan, self.config.image, self.vision.grid, whole_videos=whole_videos)

    def _budget(self, max_visual_tokens: int | None) -> int | None:
        return self.config.video.max_visual_tokens if max_visual_tokens is None else max_visual_tokens

    def encode_video(
        self,
        frames_T3HW: Tensor,
        plan: FramePlan,
        *,
        max_visual_tokens: int | None = None,
        source: str = "",
    ) -> EncodedVideo:
        """Encodes a video once, to be asked about any number of times. Deterministic, without gradients.

        Args:
            frames_T3HW: The plan's frames: prepared ones (float, the processor's ``prepare_frames``), or raw ones from
                0 to 255 (uint8, any size).
            plan: The resolved frame plan.
            max_visual_tokens: Most rows in the prompt, memory tokens included; ``None`` for the default.
            source: Where the video comes from, for people.

        Returns:
            The encoded video, on the model's device and in its dtype.

        Raises:
            ConfigError: The budget cannot be met.
            DataError: The frames are not those of the plan.
        """
        (encoded,) = self.encode_videos([frames_T3HW], [plan], max_visual_tokens=max_visual_tokens)
        return replace(encoded, source=source)

    def encode_videos(
        self, videos: Sequence[Tensor], plans: Sequence[FramePlan], *, max_visual_tokens: int | None = None
    ) -> list[EncodedVideo]:
        """Encodes several videos, whose frames pass through the encoder together: as :meth:`encode_video` each.

        Args:
            videos: Frames of each video, as for :meth:`encode_video`.
            plans: Their resolved frame plans.
            max_visual_tokens: As for :meth:`encode_video`, of each.

        Raises:
            ConfigError: The budget cannot be met.
            DataError: The frames are not those of the plan.
        """
        for plan in plans:  # a budget that cannot be met is refused before the work begins
            self.plan_tokens(plan, max_visual_tokens)
        return [
            self.encode_seen(seen, plan, max_visual_tokens=max_visual_tokens)
            for seen, plan in zip(self._look_at(videos, plans), plans, strict=True)
        ]

    def look(
        self, videos: Sequence[Tensor], plans: Sequence[FramePlan], parts: Sequence[Sequence[Part]]
    ) -> list[list[Patches]]:
        """What the encoder makes of parts of videos, whose frames pass through it together, each but once if it can.

        It sees each part as a video of its own. What parts have in common is looked at once all the same, but for
        frames near the edge of a part where frames see their neighbours.

        Args:
            videos: Frames of each video, as for :meth:`encode_video`.
            plans: Their resolved frame plans.
            parts: Of each video the parts to look at, as first frame and the one past its last; ``None`` for all.

        Returns:
            What it makes of each part of each video, for :meth:`encode_seen`.

        Raises:
            DataError: The frames are not those of the plan.
        """
        prepared = [self._prepared(frames, plan) for frames, plan in zip(videos, plans, strict=True)]
        starts = accumulate((len(frames) for frames in prepared), initial=0)
        runs = [
            (start, start + len(frames)) if part is None else (start + part[0], start + part[1])
            for start, frames, wanted in zip(starts, prepared, parts, strict=False)
            for part in wanted
        ]
        with torch.no_grad(), evaluating(self.vision):
            found = self.vision(torch.cat(prepared), runs)
        lengths = [past - first for first, past in runs]
        patches, classes = found.patches_TPC.split(lengths), found.cls_LTC.split(lengths, dim=1)
        seen = map(Patches, patches, classes)
        return [list(islice(seen, len(wanted))) for wanted in parts]

    def _look_at(self, videos: Sequence[Tensor], plans: Sequence[FramePlan]) -> list[Patches]:
        """What the encoder makes of whole videos."""
        return [seen for (seen,) in self.look(videos, plans, [[None]] * len(videos))]

    def encode_seen(
        self, seen: Patches, plan: FramePlan, *, max_visual_tokens: int | None = None
    ) -> EncodedVideo:
        """The rest of :meth:`encode_videos`, of one video.

        Args:
            seen: What :meth:`look` gave.
            plan: The resolved frame plan of these frames.
            max_visual_tokens: As for :meth:`encode_video`.

        Raises:
            ConfigError: The budget cannot be met.
        """
        if self.vision.reads_questions:
            return self._read(FrameStates(seen.patches_TPC, plan, max_visual_tokens), "", "")
        merged = self._merge(seen, self.plan_seen(plan))
        return self.encode_merged(merged, plan, max_visual_tokens=max_visual_tokens)

    def read_for(self, video: EncodedVideo, question: str) -> EncodedVideo:
        """Returns a video as the model sees it in the light of a question: the same, unless it reads questions.

        InstructBLIP's queries read the question together with each frame; its ViT need not look again.

        Args:
            video: What :meth:`encode_video` gave.
            question: The text of the turn that is to be answered.

        Raises:
            ConfigError: The model reads questions and has no processor, whose tokenizer would read them.
        """
        return video if video.states is None else self._read(video.states, video.source, question)

    def _read(self, states: FrameStates, source: str, question: str) -> EncodedVideo:
        if self.processor is None:
            raise ConfigError("this model reads questions, with its processor's tokenizer: attach one first")
        plan = states.plan
        most = self.config.frame_queries.question.most_tokens
        ids = self.processor.question_ids(question, most).to(self.device)
        with torch.no_grad(), evaluating(self.vision):
            read = self.vision.read_for(states.states_TNC, ids)
            merged = self.compressor.merge_only(read.patches_TPC, read.cls_LTC, self.plan_seen(plan))
        encoded = self.encode_merged(merged, plan, max_visual_tokens=states.max_visual_tokens, source=source)
        return replace(encoded, states=states)

    def encode_merged(
        self,
        merged: MergedSegments,
        plan: FramePlan,
        *,
        max_visual_tokens: int | None = None,
        source: str = "",
    ) -> EncodedVideo:
        """The rest of :meth:`encode_video`, from what :meth:`merge_video` gave, fresh or from disk.

        Args:
            merged: Merged segment tokens.
            plan: The resolved frame plan that they were made with.
            max_visual_tokens: As for :meth:`encode_video`.
            source: As for :meth:`encode_video`.

        Returns:
            The encoded video.

        Raises:
            ConfigError: The budget cannot be met.
        """
        seen = self.plan_seen(plan)
        with torch.no_grad(), evaluating(self.compressor, self.projector):
            compressed = self.compressor.compress(merged, seen, self._budget(max_visual_tokens))
            tokens = self.projector(compressed.tokens_KD, compressed.extents_K23)
            token_plan = compressed.token_plan
            (tokens,) = self._laid_out([tokens], [token_plan])
        spans_K2 = compressed.spans_K2
        if token_plan.whole_frames is not None:
            spans_K2 = row_spans(token_plan, compressed.plan).to(spans_K2.device)
        return EncodedVideo(
            tokens_KD=tokens,
            spans_K2=spans_K2.float(),
            counts=token_plan.counts,
            segment_spans_s=token_plan.spans_s(compressed.plan),
            memory=token_plan.memory,
            plan=compressed.plan if seen == plan else plan,
            fingerprint=self.fingerprint(),
            source=source,
        )

    def merge_video(self, frames_T3HW: Tensor, plan: FramePlan) -> MergedSegments:
        """The part of encoding that a frozen encoder needs to do only once, whatever the budget; may be kept on disk.

        Args:
            frames_T3HW: As for :meth:`encode_video`.
            plan: The resolved frame plan.

        Returns:
            Merged segment tokens, without gradients.

        Raises:
            ConfigError: The model reads frames together with the question, so that there is no such part.
        """
        return self.merge_videos([frames_T3HW], [plan])[0]

    def merge_videos(self, videos: Sequence[Tensor], plans: Sequence[FramePlan]) -> list[MergedSegments]:
        """:meth:`merge_video` of several videos, whose frames pass through the encoder together."""
        if self.vision.reads_questions:
            raise ConfigError(
                "this model reads each frame together with the question, so nothing can be kept of a video that "
                "was not asked about: it can be asked, but neither trained here nor given features from disk"
            )
        return [
            self._merge(patches, self.plan_seen(plan))
            for patches, plan in zip(self._look_at(videos, plans), plans, strict=True)
        ]

    def _merge(self, seen: Patches, plan: FramePlan) -> MergedSegments:
        patches_TPC = seen.patches_TPC
        with torch.no_grad(), evaluating(self.vision):
            if self.config.video_queries is not None:
                patches_TPC = self.video_queries(patches_TPC)
            return self.compressor.merge_only(patches_TPC, seen.cls_LTC[:, : len(patches_TPC)], plan)

    def project_segments(
        self,
        merged: Sequence[MergedSegments],
        token_plans: Sequence[TokenPlan],
        extents: Sequence[Tensor] | None = None,
    ) -> list[Tensor]:
        """The part of encoding that is trained: queries and projector, for many videos at once.

        Args:
            merged: What :meth:`merge_video` gave for each video, fresh or from disk.
            token_plans: What :meth:`plan_tokens` says for each of them.
            extents: When and where each video's tokens begin and end, (K, 2, 3), as ``compressor.token_extents`` gives
                them; only a projector that reads times or places needs them.

        Returns:
            For each video its visual tokens, (K, D), as :meth:`encode_video` gives them, with gradients.

        Raises:
            DataError: The projector reads them and ``extents`` is ``None``.
        """
        if extents is None and self.config.projector.reads_extents:
            raise DataError("this model's projector reads when and where tokens are: give their extents")
        rows = self.compressor.query(merged, token_plans)
        projected: Tensor = self.projector(
            torch.cat(rows), None if extents is None else torch.cat(list(extents))
        )
        return self._laid_out(projected.split([len(row) for row in rows]), token_plans)

    def _laid_out(self, videos: Sequence[Tensor], token_plans: Sequence[TokenPlan]) -> list[Tensor]:
        """Projected tokens as rows of the prompt: the same, unless whole frames are given as a model was trained."""
        rows = []
        for tokens, plan in zip(videos, token_plans, strict=True):
            if plan.whole_frames is not None:
                memory, frames = tokens[: plan.memory], tokens[plan.memory :]
                tokens = torch.cat([memory, self.whole_frames(frames, plan.whole_frames)])
            rows.append(tokens)
        return rows

    @property
    def visual_parts(self) -> tuple[str, ...]:
        """Names of the parts that visual tokens depend on; in 4 or 8 bits they stay in full precision."""
        return tuple(part for part in VISUAL_PARTS if hasattr(self, part))

    def fingerprint(self) -> str:
        """Returns a hash of all that visual tokens depend on: weights and settings of the visual part.

        It is computed when first asked for, and again after weights were changed.
        """
        parts = {name: getattr(self, name) for name in self.visual_parts}
        # Not by state_dict(): torch takes that as the wish to have shares back, where processes share a model.
        tensors = {
            f"{part}.{name}": tensor
            for part, module in parts.items()
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }
        state = tuple((tensor.data_ptr(), tensor._version) for tensor in tensors.values())
        if self._fingerprint is None or self._fingerprint[0] != state:
            self._fingerprint = (state, self._hash(tensors))
        return self._fingerprint[1]

    def _hash(self, tensors: dict[str, Tensor]) -> str:
        config = self.config.to_dict()
        names = (
            "image",
            "compressor",
            "projector",
            "vision_layer",
            "stem",
            "matching",
            "temporal",
            "frame_queries",
            "video_queries",
        )
        settings = {name: config[name] for name in names}
        digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
        hash_tensors(digest, tensors)
        return digest.hexdigest()

    def _prepared(self, frames_T3HW: Tensor, plan: FramePlan) -> Tensor:
        if frames_T3HW.dtype == torch.uint8:
            frames_T3HW = prepare(frames_T3HW.movedim(1, -1), self.config.image, kind=plan.kind)
        size = self.config.image.size
        if frames_T3HW.shape[1:] != (3, size, size):
            raise DataError(
                f"prepared frames must have shape (T, 3, {size}, {size}), got {tuple(frames_T3HW.shape)}; "
                "use the processor's prepare_frames"
            )
        return frames_T3HW.to(self.device)
