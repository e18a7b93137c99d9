"""Settings of training runs: shipped files, overrides and clear refusals."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from videollm.errors import ConfigError
from videollm_train.config import POCKET_CHAIN, load_chain, load_settings
from videollm_train.settings import VisionPretraining

CONFIGS = Path(__file__).parents[2] / "configs"
LAUNCHERS = CONFIGS / "accelerate"


@pytest.mark.parametrize(
    "path",
    sorted(path for path in CONFIGS.rglob("*.yaml") if path.parent != LAUNCHERS),
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_shipped_file_loads(path):
    assert load_settings(path).stage


@pytest.mark.parametrize("path", sorted(LAUNCHERS.glob("*.yaml")), ids=lambda path: path.stem)
def test_files_for_accelerate_are_what_accelerate_takes(path):
    known = {field.name for field in dataclasses.fields(ClusterConfig)}
    assert set(yaml.safe_load(path.read_text())) <= known
    loaded = load_config_from_file(str(path))
    assert isinstance(loaded, ClusterConfig)
    assert loaded.num_processes > 1
    assert loaded.mixed_precision == "bf16"


def test_the_chain_of_the_built_in_model_is_complete_and_in_order():
    stages = [settings.stage for settings in load_chain(CONFIGS / "pocket")]
    assert stages == [
        "tokenizer",
        "pretrain-vision",
        "assemble",
        "features",
        "instruct",
        "features",
        "align",
        "instruct",
        "instruct",
    ]
    assert len(stages) == len(POCKET_CHAIN)


def test_paths_of_a_chain_lie_in_its_run_directory(tmp_path):
    chain = dict(zip(POCKET_CHAIN, load_chain(CONFIGS / "pocket", out=tmp_path), strict=True))
    assert chain["align"].model == tmp_path / "language" / "final"
    assert chain["instruct"].features == tmp_path / "features"


def test_overrides_reach_into_nested_settings():
    settings = load_settings(
        CONFIGS / "pocket" / "vision.yaml", ("steps=7", "optimizer.lr=0.5", "shape.layers=1")
    )
    assert isinstance(settings, VisionPretraining)
    assert (settings.steps, settings.optimizer.lr, settings.shape.layers) == (7, 0.5, 1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("step=7", r"language\.yaml: step: unknown key, did you mean 'steps'\?"),
        ("optimizer.lr=-1", r"optimizer\.lr: .*greater than 0"),
        ("steps", r"key=value, got 'steps'"),
        ("seed.x=1", r"'seed' is a single value"),
        ("sharded=true", r"sharded goes with AdamW and without compile"),
        ("stage=dance", r"stage must be one of tokenizer, .*got 'dance'"),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(override, message):
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings(CONFIGS / "pocket" / "language.yaml", (override,))
    assert "\n" not in str(caught.value)


def test_an_override_of_the_chain_must_name_a_stage():
    with pytest.raises(ConfigError, match="written stage:key=value"):
        load_chain(CONFIGS / "pocket", ("steps=3",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("a: [", "not valid YAML"),
        ("- 1", "expected a mapping of settings, got list"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path, content, message):
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=message):
        load_settings(path)
