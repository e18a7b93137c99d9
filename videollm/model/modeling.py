"""The video language model: encoder, compressor and projector in front of a causal language model of transformers.

    frames ─vision─▶ patches ─compressor─▶ few tokens in order of time ─projector─▶ visual tokens ─┐
    conversation ─processor─▶ ids with placeholders ─word embeddings─▶ rows ◀──put in place──┘ ─language_model─▶ answer

A video is encoded once, by :meth:`VideoLLM.encode_video`, and its tokens go into any number of prompts. The language
model never sees frames, and the visual part never reads the question.

Shapes: B conversations, N ids, T frames, K visual tokens, D width of the language model, V vocabulary.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    Cache,
    GenerationMixin,
    PreTrainedModel,
)
from transformers.modeling_outputs import CausalLMOutputWithPast

from ..errors import DataError
from .compressor import Compressor
from .configuration import VideoLLMConfig
from .encoder import FrameEncoder
from .encoding import VideoEncodingMixin
from .frame_queries import FrameQueries
from .kept_logits import kept_logits
from .matching import FrameMatching
from .processing import VideoLLMProcessor
from .projector import Projector
from .stem import SilentConvolution, StemConvolution
from .strictness import refuse_other_weights
from .video_queries import VideoQueries
from .whole_frames import WholeFrames


class VideoLLM(VideoEncodingMixin, PreTrainedModel, GenerationMixin):
    """A causal language model that sees videos.

    Attributes:
        vision: Frames to patch features.
        video_queries: Patch features of all frames to those of a whole video; only where the configuration has them.
        compressor: Patch features of a video to few tokens.
        projector: Those tokens into the language model's width.
        whole_frames: Layout of whole frames; only where the compressor's kind is ``"frames"``.
        language_model: The language model with its head.
        processor: Prepares frames and prompts for this model, once :meth:`attach` gave it one.
    """

    config_class = VideoLLMConfig
    config: VideoLLMConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ["video", "text"]  # noqa: RUF012 - declared so by transformers
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012

    def __init__(self, config: VideoLLMConfig) -> None:
        """Builds the model with fresh weights, see :meth:`_init_weights`."""
        super().__init__(config)
        self.vision = FrameEncoder(
            config.vision_config,
            select_layer=config.vision_layer,
            cls_layers=config.compressor.memory_layers,
            chunk_frames=config.vision_chunk_frames,
            stem=config.stem,
            matching=config.matching,
            temporal=config.temporal,
            queries=config.frame_queries,
        )
        if config.video_queries is not None:
            self.video_queries = VideoQueries(config.video_queries, self.vision.width)
        self.compressor = Compressor(
            config.compressor, encoder_width=self.vision.width, grid=config.grid, image=config.image
        )
        self.projector = Projector(
            config.projector, token_width=self.compressor.width, text_width=config.hidden_size
        )
        if config.compressor.keeps_frames:
            self.whole_frames = WholeFrames(
                config.compressor.frames, grid=config.grid, width=config.hidden_size
            )
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.processor: VideoLLMProcessor | None = None
        # A placeholder that the model itself wrote would claim a visual token that does not exist.
        self.generation_config.suppress_tokens = [config.placeholder_token_id]
        self.post_init()  # type: ignore[no-untyped-call]
        self._no_split_modules = {
            *(self._no_split_modules or ()),
            *(self.vision.tower._no_split_modules or ()),
            "ConvStem",
            "FrameMatching",
            "TemporalAttention",
        }

    def _init_weights(self, module: nn.Module) -> None:
        """Fresh weights, all in one place.

        The towers, stem, matching and the Q-Former's transformer initialise themselves. In compressor, projector and
        temporal attention linear maps are normal with the language model's ``initializer_range`` as standard deviation
        (0.02 unless it says otherwise) and zero bias, norms are the identity, the gate of temporal attention is 0, and
        queries are normal with 0.2, so that the time added to them does not drown their differences; rows that end
        frames are normal with one over the root of the width, as in LLaVA.
        """
        if isinstance(module, StemConvolution | SilentConvolution | FrameMatching):
            module.reset_parameters()
        elif isinstance(module, FrameQueries):
            torch.nn.init.normal_(module.query_tokens, std=0.02)
        elif isinstance(module, WholeFrames):
            module.reset_parameters(self.config.hidden_size**-0.5)
        else:
            super()._init_weights(module)  # type: ignore[no-untyped-call]

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str] | None, *inputs: Any, **options: Any
    ) -> Any:
        """Loads a checkpoint as transformers does, but accepts it only if it holds exactly this model's weights.

        Args:
            pretrained_model_name_or_path: Directory of :meth:`save_pretrained`, or a hub id.
            *inputs: As in transformers.
            **options: As in transformers (``dtype``, ``device_map``, ``quantization_config`` and so on).

        Returns:
            The model in evaluation mode; with ``output_loading_info=True`` also what transformers says about loading.

        Raises:
            CheckpointError: Weights are missing, unexpected or of another shape.
        """
        wants_info = options.pop("output_loading_info", False)
        options["ignore_mismatched_sizes"] = True  # so that they are reported together with the others, below
        loaded: Any = super().from_pretrained(
            pretrained_model_name_or_path, *inputs, output_loading_info=True, **options
        )
        model, info = loaded
        refuse_other_weights(str(pretrained_model_name_or_path), info)
        return (model, info) if wants_info else model

    def attach(self, processor: VideoLLMProcessor) -> None:
        """Makes a processor this model's own; its token ids say where answers end, beside those of the checkpoint.

        Raises:
            ConfigError: The processor belongs to another model.
        """
        processor.check(self.config)
        self.processor = processor
        how = self.generation_config
        known = [how.eos_token_id] if isinstance(how.eos_token_id, int) else how.eos_token_id or ()
        how.eos_token_id = sorted({*processor.stop_ids, *known})
        how.pad_token_id = processor.pad_id
        how.suppress_tokens = sorted({*(how.suppress_tokens or ()), self.config.placeholder_token_id})

    def get_input_embeddings(self) -> nn.Module:
        """Returns the word embeddings of the language model."""
        embeddings: nn.Module = self.language_model.get_input_embeddings()
        return embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replaces the word embeddings of the language model."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        """Returns the head of the language model."""
        head: nn.Module | None = self.language_model.get_output_embeddings()
        return head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replaces the head of the language model."""
        self.language_model.set_output_embeddings(new_embeddings)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Resizes the language model's vocabulary, as transformers does, and keeps the configuration in step."""
        embeddings: nn.Embedding = self.language_model.resize_token_embeddings(
            new_num_tokens, pad_to_multiple_of, mean_resizing
        )
        self.config.text_config.vocab_size = self.language_model.config.vocab_size
        return embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        visual_tokens: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Runs the language model over ids whose placeholders are replaced by visual tokens.

        Args:
            input_ids: Token ids with a placeholder for each visual token, (B, N) int64.
            attention_mask: 1 where there is a token, 0 in padding, (B, N).
            position_ids: Positions, (B, N); from the mask by default.
            past_key_values: Kept keys and values of earlier ids.
            inputs_embeds: Rows to use instead of ``input_ids``, (B, N, D).
            visual_tokens: A row for each placeholder, in reading order over the batch, (sum of K, D).
            labels: Ids to predict, -100 where there is no loss, (B, N). Not together with a mask of logits.
            use_cache: Whether to return keys and values.
            logits_to_keep: Logits of only so many last positions (0 for all); of these positions, (P,) int64; or of
                the positions where a mask (B, N) bool is true, in reading order over the batch.
            **kwargs: Passed on to the language model.

        Returns:
            The language model's output: ``loss`` if there are labels, ``logits`` (B, N or fewer, V), (S, V) of a mask
            with S true positions, and the cache.

        Raises:
            DataError: The number of placeholders is not that of the visual tokens.
        """
        if inputs_embeds is None:
            if input_ids is None:
                raise TypeError("forward needs input_ids or inputs_embeds")
            inputs_embeds = self.embed(input_ids, visual_tokens)
        elif visual_tokens is not None:
            raise TypeError(
                "visual_tokens replace placeholders of input_ids; with inputs_embeds put them in yourself"
            )
        with kept_logits(self.get_output_embeddings(), logits_to_keep) as kept:
            output: CausalLMOutputWithPast = self.language_model(
                inputs_embeds=inputs_embeds,
                attention_mask=attention_mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                labels=labels,
                use_cache=use_cache,
                logits_to_keep=kept,
                **kwargs,
            )
        return output

    def embed(self, input_ids: Tensor, visual_tokens: Tensor | None = None) -> Tensor:
        """Returns the rows that the language model reads: word embeddings, and visual tokens at the placeholders.

        Args:
            input_ids: Token ids, (B, N) int64.
            visual_tokens: A row for each placeholder, in reading order over the batch, (sum of K, D).

        Returns:
            Rows of shape (B, N, D).

        Raises:
            DataError: The number of placeholders is not that of the visual tokens.
        """
        places = input_ids == self.config.placeholder_token_id
        rows: Tensor = self.get_input_embeddings()(input_ids)
        wanted, given = int(places.sum()), 0 if visual_tokens is None else len(visual_tokens)
        if wanted != given:
            raise DataError(f"the prompt has {wanted} placeholders for {given} visual tokens")
        if visual_tokens is None or not given:
            return rows
        return rows.masked_scatter(places[..., None], visual_tokens.to(rows.device, rows.dtype))

    def prepare_inputs_for_generation(self, input_ids: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Chooses the inputs of one step of ``generate``: of the visual tokens only those not in the cache yet."""
        visual_tokens = kwargs.pop("visual_tokens", None)
        base: Any = super()
        inputs: dict[str, Any] = base.prepare_inputs_for_generation(input_ids, *args, **kwargs)
        step_ids = inputs.get("input_ids")
        if visual_tokens is None or step_ids is None:
            return inputs
        places = input_ids == self.config.placeholder_token_id
        places_of_step = places.clone()
        places_of_step[:, : input_ids.shape[1] - step_ids.shape[1]] = False
        if places_of_step.any():
            inputs["visual_tokens"] = visual_tokens[places_of_step[places]]
        return inputs

    def _expand_inputs_for_generation(
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, dict[str, Any]]:
        """Repeats each conversation for beams or several answers, together with all of its visual tokens."""
        visual_tokens = kwargs.pop("visual_tokens", None)
        if visual_tokens is not None and input_ids is not None:
            counts = (input_ids == self.config.placeholder_token_id).sum(dim=1).tolist()
            repeated = [rows for rows in visual_tokens.split(counts) for _ in range(expand_size)]
            visual_tokens = torch.cat(repeated)
        base: Any = super()
        expanded: tuple[Any, dict[str, Any]] = base._expand_inputs_for_generation(
            expand_size, is_encoder_decoder, input_ids, **kwargs
        )
        if visual_tokens is not None:
            expanded[1]["visual_tokens"] = visual_tokens
        return expanded


def decoder_layers(model: VideoLLM) -> nn.ModuleList:
    """Returns the language model's layers, first to last."""
    inner: Any = model.language_model.model
    layers: nn.ModuleList = getattr(inner, "decoder", inner).layers
    return layers


AutoConfig.register(VideoLLMConfig.model_type, VideoLLMConfig, exist_ok=True)
AutoProcessor.register(VideoLLMConfig, VideoLLMProcessor, exist_ok=True)
for _auto_model in (AutoModelForCausalLM, AutoModelForImageTextToText):
    _auto_model.register(VideoLLMConfig, VideoLLM, exist_ok=True)
