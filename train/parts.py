"""Parts of a model in transformers' own layout: a directory, or the name of a repository on the hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

from videollm.errors import ConfigError


def from_source(kind: Any, source: Path, **options: Any) -> Any:
    """Loads ``kind`` with its ``from_pretrained``.

    A directory is read where it lies; anything else is the name of a repository, which comes from the hub's cache or,
    unless the hub is switched off (``HF_HUB_OFFLINE=1``), from the hub.

    Args:
        kind: A class of transformers, such as ``AutoTokenizer``.
        source: A directory, or a name such as ``openai/clip-vit-large-patch14-336``.
        **options: As ``from_pretrained`` takes them.

    Raises:
        ConfigError: There is nothing of that name.
    """
    try:
        return kind.from_pretrained(str(source), local_files_only=source.is_dir(), **options)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        where = (
            "cannot be loaded" if source.is_dir() else "is no directory here and cannot be had from the hub"
        )
        raise ConfigError(f"{source} {where} ({reason})") from error


def read_config(source: Path) -> PreTrainedConfig:
    """Returns the configuration of a part.

    Raises:
        ConfigError: There is nothing of that name.
    """
    config: PreTrainedConfig = from_source(AutoConfig, source)
    return config


def published_config(source: Path) -> PreTrainedConfig:
    """Returns the configuration of a part for planning: from where it lies, or what is known of well-known ones.

    Raises:
        ConfigError: There is nothing of that name.
    """
    known = _PUBLISHED.get(str(source))
    return read_config(source) if known is None or source.is_dir() else AutoConfig.for_model(**known)


# Sizes as their ``config.json`` has them: what a model takes can be told before gigabytes are fetched.
_PUBLISHED: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14-336": {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 336,
        "projection_dim": 768,
    },
    "Qwen/Qwen2-0.5B-Instruct": {
        "model_type": "qwen2",
        "vocab_size": 151_936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2-7B-Instruct": {
        "model_type": "qwen2",
        "vocab_size": 152_064,
        "hidden_size": 3584,
        "intermediate_size": 18_944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32_768,
        "tie_word_embeddings": False,
    },
}
