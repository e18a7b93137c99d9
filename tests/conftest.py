"""What holds for every test: no network, no shared cache, and no fight over the cores."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Before anything imports torch, transformers or gradio, and inherited by the programs that tests start.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# What takes minutes, longest first: a process that begins with one of these at the end keeps the others waiting.
_LONG = (
    "test_ray.py",
    "test_chain.py",
    "test_processes.py",
    "test_browser.py",
    "test_tutorial.py",
    "test_records.py",
    "test_first_token.py",
    "test_describe_verb.py",
    "test_process_engine.py",
)

# Nothing is timed in tests, examples of properties neither.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take minutes in front."""
    items.sort(key=lambda item: _LONG.index(item.path.name) if item.path.name in _LONG else len(_LONG))


@pytest.fixture(scope="session", autouse=True)
def _cache_of_this_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps fixtures of a wider scope than one test away from the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIDEOLLM_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("VIDEOLLM_DATA", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture(autouse=True)
def _cache_of_this_test(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives each test an empty cache of its own."""
    monkeypatch.setenv("VIDEOLLM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium; tests that need it are skipped where there is none."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path: install Debian's package chromium")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory of the real classes, small and with random weights, with a model card."""
    import torch

    from videollm import VideoLLM, VideoLLMConfig, VideoLLMProcessor
    from videollm.model.tokenization import build_tokenizer, train_sentencepiece

    directory = tmp_path_factory.mktemp("tiny")
    texts = ["What happens in this video?", "a small red star moves left from 0:03 to 0:05"] * 20
    trained = train_sentencepiece(texts, directory / "trained.model", vocab_size=400)
    tokenizer = build_tokenizer(trained, directory / "tokenizer", samples=texts)
    towers = {"num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = VideoLLMConfig(
        vision_config={"hidden_size": 32, "image_size": 40, "patch_size": 8, **towers},
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 48,
            "max_position_embeddings": 8192,
            **towers,
        },
        compressor={
            "kind": "merge+qformer",
            "merged_tokens": 8,
            "num_queries": 4,
            "memory_layers": 2,
            "qformer": {"layers": 1, "hidden_size": 24, "heads": 2, "intermediate_size": 48},
        },
        video={"fps": 1.0, "max_frames": 8, "max_segments": 4},
        placeholder_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
    )
    torch.manual_seed(7)
    model = VideoLLM(config)
    # Fresh weights of 0.02 all but copy the embeddings to the logits; larger ones make what is seen matter.
    for name, weight in model.named_parameters():
        if weight.ndim > 1 and "embed" not in name:
            torch.nn.init.normal_(weight, std=0.15)
    model.attach(VideoLLMProcessor.for_config(config, tokenizer))
    with torch.no_grad():  # of 400 logits the largest is above 0, so no answer ends before its time
        model.language_model.lm_head.weight[list(model.processor.stop_ids)] = 0
    model.save_pretrained(directory / "model")
    model.processor.save_pretrained(directory / "model")
    card = (
        "---\nlicense: mit\n---\n# Tiny\n\nA model with random weights.\nIt sees nothing.\n\nMore about it.\n"
    )
    (directory / "model" / "README.md").write_text(card, encoding="utf-8")
    return directory / "model"


@pytest.fixture(scope="session")
def clip_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two short clips of the pocket world as mp4 files."""
    from videollm.synthetic.files import write_clip
    from videollm.synthetic.sampling import sample_clip

    directory = tmp_path_factory.mktemp("clips")
    paths = (directory / "one.mp4", directory / "two.mp4")
    for seed, path in enumerate(paths):
        clip = sample_clip(seed, "test", shots=1, duration_s=(2.0, 4.0), max_short_side=96)
        write_clip(clip, path)
    return paths
