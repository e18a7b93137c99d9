"""Loading a model by its name: strictly, onto a device, in a precision, ready to be asked."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import warnings
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, BitsAndBytesConfig, GenerationConfig
from transformers.utils import GENERATION_CONFIG_NAME
from transformers.utils import logging as transformers_logging

from ..errors import CheckpointError, ConfigError, UnsupportedModelError, VideoLLMError
from ..model.configuration import VideoLLMConfig
from ..model.encoding import VISUAL_PARTS
from ..model.generation import default_settings
from ..model.modeling import VideoLLM
from ..model.processing import QUESTION_TOKENIZER, VideoLLMProcessor
from .directories import ModelDirectory, find_model
from .four_bit import keep_unpacked
from .published import check_shapes, read_weights, refuse_missing, wanted_shapes

_DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")
_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def load_model(
    name_or_directory: str | os.PathLike[str],
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    load_in_4bit: bool = False,
    load_in_8bit: bool = False,
    device_map: str | Mapping[str, str | int] | None = None,
) -> VideoLLM:
    """Loads a model with its processor attached, in evaluation mode.

    Only a name on the hub may touch the network, and only if the model is not in the hub's cache.

    Args:
        name_or_directory: ``"pocket"`` (built in), a checkpoint directory, a directory with a PEFT adapter, which is
            folded into its base (kept apart over a quantised one), or a published model of one of the families: its
            directory, or its name on the hub.
        device: Where to put it; ``None`` or ``"auto"`` for CUDA, else Apple's MPS, else the CPU.
        dtype: Precision; ``None`` or ``"auto"`` for float32 on the CPU and the checkpoint's own elsewhere.
        load_in_4bit: Quantise the language model to 4 bits (bitsandbytes, NF4).
        load_in_8bit: Quantise the language model to 8 bits (bitsandbytes).
        device_map: Spread the model over several devices instead, as transformers does: ``"auto"``, ``"balanced"``,
            ``"sequential"``, or a device for each part, where the language model may be on ``"disk"``.

    Returns:
        The model; ``model.processor`` prepares frames and prompts for it.

    Raises:
        UnsupportedModelError: There is no such model, or it is of another kind.
        CheckpointError: Weights are missing, unexpected or of the wrong shape, or a file is broken.
        ConfigError: The device is not there, or options contradict each other.
    """
    found = find_model(name_or_directory)
    if device_map is not None and device is not None:
        raise ConfigError("device and device_map exclude each other; give one of them")
    if isinstance(device_map, str) and device_map not in _DEVICE_MAPS:
        raise ConfigError(f"device_map must be {', '.join(_DEVICE_MAPS)} or a mapping, got {device_map!r}")
    place = choose_device(device)
    precision = _choose_dtype(dtype, place)
    quantization = _quantization(precision, load_in_4bit=load_in_4bit, load_in_8bit=load_in_8bit)
    spread = {"": place} if quantization is not None and device_map is None else device_map
    model = _load_base(found, precision, quantization, spread)
    if spread is not None:
        _refuse_unreachable(model)
    if found.adapter is not None:
        model = _with_adapter(model, found.adapter, fold=quantization is None)
    module: torch.nn.Module = model
    keep_unpacked(module, all_layers=False)
    if spread is None:
        module.to(place)
    model.attach(load_processor(found, model.config))
    module.eval()
    return model


def load_adapted(found: ModelDirectory) -> VideoLLM:
    """Loads an adapter beside its base instead of folded in, in float32 on the CPU: slower, and as it was trained.

    Raises:
        CheckpointError: Weights are missing, unexpected or of the wrong shape, or a file is broken.
    """
    assert found.adapter is not None
    base = _load_base(found, torch.float32, None, None)
    model = _with_adapter(base, found.adapter, fold=False)
    model.attach(load_processor(found, model.config))
    module: torch.nn.Module = model
    module.eval()
    return model


@contextlib.contextmanager
def quiet_peft() -> Iterator[None]:
    """Hides a warning that is not for the user: peft uses a name that the newest transformers calls deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        yield


@contextlib.contextmanager
def no_progress_bars() -> Iterator[None]:
    """Hides transformers' progress bars over files that load in a blink, and its tables of what is an error here."""
    was_shown, verbosity = (
        transformers_logging.is_progress_bar_enabled(),
        transformers_logging.get_verbosity(),
    )
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if was_shown:
            transformers_logging.enable_progress_bar()


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Returns the device that is meant, after a check that it is there.

    Raises:
        ConfigError: It is not.
    """
    if device is None or device == "auto":
        return torch.device(
            "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        )
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch asserts that it was built with CUDA
        reason = str(error).partition("\n")[0]
        raise ConfigError(
            f"device {str(device)!r} cannot be used here ({reason}); try 'cpu' or 'auto'"
        ) from error
    return chosen


def _choose_dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype | str:
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype is None or dtype == "auto":
        return torch.float32 if device.type == "cpu" else "auto"
    if dtype not in _DTYPES:
        raise ConfigError(f"dtype must be float32, bfloat16, float16 or auto, got {dtype!r}")
    return _DTYPES[dtype]


def _quantization(
    precision: torch.dtype | str, *, load_in_4bit: bool, load_in_8bit: bool
) -> BitsAndBytesConfig | None:
    """Only the language model's layers are quantised: the visual parts are small, and their precision is seen."""
    if load_in_4bit and load_in_8bit:
        raise ConfigError("load_in_4bit and load_in_8bit exclude each other; give one of them")
    if not (load_in_4bit or load_in_8bit):
        return None
    # It tells of casts and of kernels that nobody needs, word by word.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    return BitsAndBytesConfig(
        load_in_4bit=load_in_4bit,
        load_in_8bit=load_in_8bit,
        llm_int8_skip_modules=[*VISUAL_PARTS, "lm_head"],
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if precision == "auto" else precision,
    )


def _load_base(
    found: ModelDirectory,
    precision: torch.dtype | str,
    quantization: BitsAndBytesConfig | None,
    device_map: Any,
) -> VideoLLM:
    options: dict[str, Any] = {"dtype": precision, "local_files_only": True, "use_safetensors": True}
    if quantization is not None:
        options["quantization_config"] = quantization
    if device_map is not None:
        # What is left on disk is read there while the model lives.
        offloaded = tempfile.TemporaryDirectory(prefix="videollm-offloaded-")
        options |= {"device_map": device_map, "offload_folder": offloaded.name}
    try:
        with no_progress_bars():
            if (family := found.family) is not None:
                config = options["config"] = load_config(found)
                weights = options["state_dict"] = read_weights(found.base, family, found.read_published())
                # Before anything is built, whose size an incomplete configuration would not tell.
                wanted = wanted_shapes(config)
                check_shapes(found.name, weights, wanted)
                refuse_missing(found.name, wanted.keys() - weights.keys())
            model: VideoLLM = VideoLLM.from_pretrained(None if family else found.base, **options)
            if family is not None and (found.base / GENERATION_CONFIG_NAME).is_file():
                model.generation_config = GenerationConfig.from_pretrained(found.base, local_files_only=True)
                default_settings(model)
    except VideoLLMError:
        raise
    except Exception as error:  # torch, safetensors and transformers each raise their own for broken files
        raise CheckpointError(f"{found.name}: the weights cannot be loaded ({_one_line(error)})") from error
    if device_map is not None:
        weakref.finalize(model, offloaded.cleanup)
    return model


def _refuse_unreachable(model: VideoLLM) -> None:
    """A video's fingerprint reads the visual parts' weights, which are small beside the language model's."""
    for part in model.visual_parts:
        if any(weight.is_meta for weight in getattr(model, part).parameters()):
            raise ConfigError(
                f"device_map leaves {part} on disk; give it a device, and less of the language model"
            )


def _with_adapter(model: VideoLLM, directory: Path, *, fold: bool) -> VideoLLM:
    """Puts a PEFT adapter over the model, after a check that it holds exactly the weights that it should."""
    # bitsandbytes, which peft imports, hints at kernels that nobody needs.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors.torch import load_file

    try:
        with warnings.catch_warnings():
            # peft only warns of missing weights, which are an error below, and of its own use of transformers.
            warnings.simplefilter("ignore")
            adapted = PeftModel.from_pretrained(model, str(directory), local_files_only=True)
        found = {
            name.replace(".default.", ".") for name in load_file(directory / "adapter_model.safetensors")
        }
    except Exception as error:  # as above: every library raises its own
        raise CheckpointError(f"{directory}: the adapter cannot be loaded ({_one_line(error)})") from error
    # Without the flag peft asks the hub whether the base's vocabulary has changed.
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    if found != wanted:
        raise CheckpointError(
            f"{directory}: the adapter lacks {len(wanted - found)} weights {sorted(wanted - found)[:3]} and has "
            f"{len(found - wanted)} that do not belong {sorted(found - wanted)[:3]}"
        )
    inner: Any = adapted.merge_and_unload() if fold else adapted.get_base_model()
    assert isinstance(inner, VideoLLM)
    return inner


def load_config(found: ModelDirectory) -> VideoLLMConfig:
    """Returns a model's configuration, a published one in our terms.

    Raises:
        CheckpointError: It cannot be read.
        ConfigError: A setting is out of range.
        UnsupportedModelError: It is a published one with a setting that is not supported.
    """
    if found.family is not None:
        try:
            return VideoLLMConfig(**found.read_config())
        except (ConfigError, UnsupportedModelError) as error:
            raise type(error)(f"{found.name}: as {found.family.name}: {error}") from error
    config: VideoLLMConfig = VideoLLMConfig.from_pretrained(found.base, local_files_only=True)
    return config


def load_processor(found: ModelDirectory, config: VideoLLMConfig) -> VideoLLMProcessor:
    """Returns a model's processor: the tokenizer of the adapter, if it brings one, else the base's.

    Args:
        found: Where the model lies.
        config: Its configuration, whose settings the processor has.

    Raises:
        CheckpointError: The tokenizer cannot be loaded.
        ConfigError: It does not fit the configuration.
    """
    own = found.adapter is not None and (found.adapter / "tokenizer_config.json").is_file()
    tokenizer = _load_tokenizer(found.adapter if own and found.adapter else found.base)
    if found.family is not None:
        tokenizer.chat_template = found.family.chat_template
    reads_questions = config.frame_queries is not None and config.frame_queries.question is not None
    reader = _load_tokenizer(found.base / QUESTION_TOKENIZER) if reads_questions else None
    return VideoLLMProcessor.for_config(config, tokenizer, reader)


def _load_tokenizer(directory: Path) -> Any:
    if not directory.is_dir():
        raise CheckpointError(
            f"{directory} is missing, where a tokenizer should lie; get the checkpoint again"
        )
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except Exception as error:  # transformers raises what its readers of files raise
        raise CheckpointError(f"{directory}: the tokenizer cannot be loaded ({_one_line(error)})") from error


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]}…"
