"""The promised interface: which names there are, that each can be had, and that asking for it is cheap."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest

import videollm

PROMISED = {
    "Answer",
    "CancelledError",
    "CheckpointError",
    "ConfigError",
    "ContextOverflowError",
    "DataError",
    "DescribeOptions",
    "Description",
    "EncodedVideo",
    "Event",
    "FramePlan",
    "GenerationSettings",
    "Message",
    "OutputError",
    "Span",
    "UnreadableVideoError",
    "UnsupportedModelError",
    "Usage",
    "VideoChat",
    "VideoInfo",
    "VideoLLM",
    "VideoLLMConfig",
    "VideoLLMError",
    "VideoLLMProcessor",
    "__version__",
    "describe_files",
    "describe_video",
    "load_model",
}


def test_the_promised_names_are_exactly_these() -> None:
    assert set(videollm.__all__) == PROMISED
    assert len(videollm.__all__) == len(PROMISED)


@pytest.mark.parametrize("name", sorted(PROMISED))
def test_a_promised_name_can_be_imported_and_is_listed(name: str) -> None:
    assert getattr(videollm, name) is not None
    assert name in dir(videollm)


def test_an_unknown_name_is_an_attribute_error_that_names_it() -> None:
    with pytest.raises(AttributeError, match="describe_everything"):
        _ = videollm.describe_everything


def test_every_public_error_is_caught_by_the_base() -> None:
    errors = [getattr(videollm, name) for name in PROMISED if name.endswith("Error")]
    assert len(errors) == 9
    assert all(issubclass(error, videollm.VideoLLMError) for error in errors)


def test_the_version_is_the_one_that_is_installed() -> None:
    assert version("videollm") == videollm.__version__


@pytest.mark.parametrize(
    "statement",
    ["import videollm", "from videollm import FramePlan, UnreadableVideoError", "import videollm.video"],
)
def test_what_needs_no_model_loads_no_framework(statement: str) -> None:
    check = (
        f"{statement}; import sys; print(*sorted({{'torch', 'transformers', 'gradio'}} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_the_module_runs_as_the_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "videollm", "--help"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0
    assert "videollm" in result.stdout
