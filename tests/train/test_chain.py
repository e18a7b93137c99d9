"""The whole way from nothing to a model that answers, in small: every stage, by the shipped configs with overrides."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from videollm.answering import Asked, answer_all
from videollm.checkpoints import load_model
from videollm.errors import CheckpointError, ConfigError, DataError
from videollm.evaluation.clips import encode_clip
from videollm.evaluation.metrics import paired_interval
from videollm.media import processor_of
from videollm.synthetic.nameless import has_unnamed
from videollm.synthetic.sampling import sample_clip, world_fingerprint
from videollm.synthetic.scenes import COLOURS
from videollm_train.assemble import assemble
from videollm_train.clip_conversations import ClipConversations
from videollm_train.config import POCKET_CHAIN, load_settings
from videollm_train.features import FeatureStore, sample_cached_clip, write_features
from videollm_train.programs import make_pocket
from videollm_train.projector_fit import fit_projector
from videollm_train.settings import Assembly, FeatureSettings
from videollm_train.tuning import TuningTask

CONFIGS = Path(__file__).parents[2] / "configs" / "pocket"
WISHES = "{shots: 1, objects: 1, backdrop: plain, light: normal, duration_s: [2, 2.5], max_short_side: 96}"
TOWER = ("hidden_size=48", "layers=2", "heads=2", "intermediate_size=96")
STEM = "{channels: [12, 24], strides: [2, 4], blocks: [0, 1], frames: 3}"
FAST = (
    "precision=fp32",
    "compile=false",
    "workers=1",
    "log_every=10",
    "evaluate_every=1000",
    "save_every=1000",
)


def overrides(out):
    changes = {
        "tokenizer": ["pieces=600", "clips=80"],
        "vision": [
            f"world.wishes={WISHES}",
            "crowded_share=0",
            f"windows={out}/windows",
            "distinct_windows=400",
            "steps=300",
            "batch_size=8",
            "window_frames=4",
            "shape.image_size=48",
            "shape.patch_size=8",
            f"shape.stem={STEM}",
            "optimizer.lr=4e-3",
            "evaluation_frames=16",
            *(f"shape.{size}" for size in TOWER),
        ],
        "start": [
            f"model.stem={STEM}",
            "model.compressor.merge_heads=2",
            "model.compressor.merged_tokens=6",
            *(f"language.{size}" for size in TOWER),
        ],
        "told": [f"world.wishes={WISHES}", "clips=128", "processes=1"],
        "language": [
            "kinds=[colour, backdrop]",
            "emphasis={colour: 2}",
            "description_share=0.4",
            "steps=200",
            "batch_size=16",
            "turns=3",
            "dialogue_share=0",
            "optimizer.lr=4e-3",
            "evaluation_questions=0",
        ],
        "features": [f"world.wishes={WISHES}", "clips=256", "degrade_share=0.1", "processes=1"],
        "align": [
            "steps=80",
            "fit_clips=0",
            "contrastive_weight=0.1",
            "negatives=4",
            "batch_size=16",
            "turns=2",
            "optimizer.lr=5e-3",
            "evaluation_questions=0",
        ],
        "instruct": [
            "steps=140",
            "batch_size=16",
            "turns=4",
            "kinds=[colour, backdrop]",
            "dialogue_share=0",
            "optimizer.lr=5e-3",
            "evaluation_questions=0",
        ],
    }
    changes["refine"] = [*changes["instruct"], "steps=20", "emphasis={}"]
    for stage in ("vision", "language", "align", "instruct", "refine"):
        changes[stage] += [*FAST, "optimizer.warmup_steps=10"]
    return tuple(f"{stage}:{change}" for stage, listed in changes.items() for change in listed)


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    out = tmp_path_factory.mktemp("chain") / "pocket"
    checkpoint = make_pocket(CONFIGS, out, overrides(out))
    return out, checkpoint


def mean_losses(run):
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in events if "loss" in event]
    return np.mean(losses[:2]), np.mean(losses[-2:])


@pytest.mark.parametrize(
    ("stage", "share"), [("vision", 0.5), ("language", 0.5), ("align", 0.95), ("instruct", 0.8)]
)
def test_the_loss_of_every_stage_falls(chain, stage, share):
    first, last = mean_losses(chain[0] / stage)
    assert last < share * first


def test_a_held_out_set_is_answered_above_its_blind_baseline(chain):
    model = load_model(str(chain[1]), device="cpu")
    wishes = {"shots": 1, "objects": 1, "backdrop": "plain", "light": "normal", "duration_s": (2, 2.5)}
    clips = [sample_clip(seed, "test", **wishes, max_short_side=96) for seed in range(60)]
    videos = [encode_clip(model, clip) for clip in clips]
    question = "What colour is the background?"
    asked = [Asked(video, question, 8) for video in videos]
    answers = dict(answer_all(model, asked))
    truths = [clip.shots[0].backdrop.colours[0] for clip in clips]
    seeing = [answers[index].text == truth for index, truth in enumerate(truths)]
    blind = [answers[(index + 17) % 60].text == truth for index, truth in enumerate(truths)]
    assert set(truths) <= set(COLOURS)
    assert paired_interval(seeing, blind).low > 0.1


@torch.no_grad()
def first_caption_loss(out, fit_clips):
    """Loss of captions before the first step of stage 1."""
    changes = (
        f"fit_clips={fit_clips}",
        "contrastive_weight=0",
        "batch_size=32",
        "evaluation_questions=0",
        *FAST,
    )
    task = TuningTask(load_settings(CONFIGS / "align.yaml", changes, out=out))
    parts = task.dataset[0]
    return sum(float(task.loss(part).total) for part in parts) / sum(part["supervised"] for part in parts)


def test_stage_one_starts_ahead_with_a_fitted_projector(chain):
    assert first_caption_loss(chain[0], fit_clips=64) < 0.8 * first_caption_loss(chain[0], fit_clips=0)


def test_a_projector_is_not_fitted_behind_queries(tiny_checkpoint):
    model = load_model(str(tiny_checkpoint), device="cpu")
    with pytest.raises(ConfigError, match="without queries, the model's is merge\\+qformer"):
        fit_projector(model, store=None, clips=1)


def test_a_finished_chain_is_not_run_again(chain):
    out, checkpoint = chain
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    assert make_pocket(CONFIGS, out, overrides(out)) == checkpoint
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}


def test_stage_two_leaves_the_vit_as_it_was_and_folds_lora_in(chain):
    out, checkpoint = chain
    start, final = load_model(str(out / "start"), device="cpu"), load_model(str(checkpoint), device="cpu")
    for name, weight in start.vision.state_dict().items():
        assert torch.equal(weight.half().float(), final.vision.state_dict()[name]), name
    assert not any("lora" in name for name, _ in final.named_parameters())
    changed = final.language_model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    started = start.language_model.state_dict()["model.layers.0.self_attn.q_proj.weight"]
    assert not torch.equal(changed, started.half().float())


def test_what_ships_is_the_last_stage_in_half_precision(chain):
    out, checkpoint = chain
    size = {
        path: (path / "model.safetensors").stat().st_size for path in (out / "refine" / "final", checkpoint)
    }
    assert size[checkpoint] < 0.55 * size[out / "refine" / "final"]
    assert not list(out.glob("*.partial"))


def test_cached_features_are_those_of_the_clip(chain):
    out, _ = chain
    model = load_model(str(out / "start"), device="cpu")
    store = FeatureStore(out / "features")
    plan = store.plan(3)
    assert store.clip(3) == sample_cached_clip(store.contents, 3)
    cached = store.load(3)
    assert cached.runs_S2.tolist() == [[0, plan.frame_count]]  # a codebook is of the whole video
    assert cached.sizes_M.sum() == plan.frame_count * 36
    assert len(cached.memory_LC) == model.config.compressor.memory_layers


def test_stage_one_describes_only_clips_in_which_all_has_a_name(chain, tmp_path):
    out, _ = chain
    model = load_model(str(out / "start"), device="cpu")
    wishes = yaml.safe_load(WISHES) | {"shots": 2, "duration_s": [4, 5]}
    settings = {"stage": "features", "model": out / "start", "told": True, "seed": 4, "clips": 8}
    settings |= {"world": {"wishes": wishes}, "unnamed_share": 0.6}
    write_features(model, FeatureSettings.model_validate(settings), tmp_path / "told", workers=0)
    store = FeatureStore(tmp_path / "told")
    store.serve(model)
    unnamed = [has_unnamed(store.clip(index)) for index in range(8)]
    assert 0 < sum(unnamed) < 8
    changes = (f"features={tmp_path / 'told'}", "batch_size=8", "contrastive_weight=0.1", "negatives=8")
    parts = ClipConversations(load_settings(CONFIGS / "align.yaml", changes, out=out), model, store)[0]
    tokenizer = processor_of(model).tokenizer
    said = [tokenizer.decode(ids) for part in parts for ids in [*part["input_ids"], *part["captions"]]]
    assert len(said) > 16
    assert not any("unnamed" in text for text in said)


def test_two_processes_make_the_features_that_one_makes(chain, tmp_path):
    out, _ = chain
    model = load_model(str(out / "start"), device="cpu")
    settings = {"stage": "features", "model": out / "start", "told": True, "seed": 4, "clips": 70}
    settings["world"] = {"wishes": yaml.safe_load(WISHES)}
    for processes in (1, 2):
        wanted = FeatureSettings.model_validate({**settings, "processes": processes})
        write_features(model, wanted, tmp_path / str(processes), workers=0)
    one, two = ({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("1", "2"))
    assert one == two
    assert len(one) == 3  # two shards and what they hold


def test_features_of_patches_serve_every_compressor_and_merged_ones_only_their_own(chain, tmp_path):
    out, _ = chain
    model = load_model(str(out / "start"), device="cpu")
    settings = FeatureSettings.model_validate(
        {
            "stage": "features",
            "model": out / "start",
            "world": {"wishes": yaml.safe_load(WISHES)},
            "seed": 3,
            "clips": 2,
        }
    )
    model.compressor.config = dataclasses.replace(model.config.compressor, kind="none")
    model.config.compressor = model.compressor.config
    write_features(model, settings, tmp_path / "patches", workers=0)
    model = load_model(str(out / "start"), device="cpu")
    write_features(model, settings, tmp_path / "merged", workers=0)
    stores = [FeatureStore(tmp_path / name) for name in ("patches", "merged")]
    for store in stores:
        store.serve(model)
    patches, merged = (store.load(1) for store in stores)
    assert torch.equal(patches.lengths_S, merged.lengths_S)
    assert torch.equal(patches.runs_S2, merged.runs_S2)
    assert patches.sizes_M.sum() == merged.sizes_M.sum()
    record = tmp_path / "merged" / "features.json"
    record.write_text(record.read_text().replace(world_fingerprint(), "0" * 16))
    with pytest.raises(DataError, match="another version of the world"):
        FeatureStore(tmp_path / "merged")
    model.config.compressor = dataclasses.replace(model.config.compressor, merge_method="kmeans")
    with pytest.raises(DataError, match="features of kind none serve every model"):
        stores[1].serve(model)
    model.config.compressor = dataclasses.replace(model.config.compressor, memory_layers=99)
    with pytest.raises(DataError, match="class tokens of only"):
        stores[0].serve(model)


def test_a_whole_model_can_be_given_other_eyes(chain, tmp_path):
    out, _ = chain
    settings = {
        "stage": "assemble",
        "vision": out / "vision" / "final",
        "language": out / "language" / "final",
    }
    assemble(Assembly.model_validate(settings), tmp_path / "grafted")
    grafted, source = (
        load_model(str(path), device="cpu") for path in (tmp_path / "grafted", settings["language"])
    )
    assert all(
        torch.equal(weight, source.state_dict()[name]) for name, weight in grafted.state_dict().items()
    )
    with pytest.raises(ConfigError, match="is a whole model"):
        assemble(Assembly.model_validate(settings | {"model": {"vision_layer": -2}}), tmp_path / "refused")
    (out / "vision" / "final" / "stem.safetensors").rename(tmp_path / "stem")
    try:
        with pytest.raises(CheckpointError, match="must both have 'stem', or neither"):
            assemble(Assembly.model_validate(settings), tmp_path / "blind")
    finally:
        (tmp_path / "stem").rename(out / "vision" / "final" / "stem.safetensors")


def test_every_stage_left_its_result(chain):
    assert all((chain[0] / name / ".done").exists() for name in POCKET_CHAIN)
