"""Settings of training runs: shipped files, overrides and clear refusals."""

import dataclasses
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file

from videollm.errors import ConfigError
from videollm_train.config import POCKET_CHAIN, load_chain, load_settings
from videollm_train.settings import VisionPretraining
from videollm_train.tuning_settings import DataSource, Instruction

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


def test_a_file_of_data_may_be_given_by_its_path_alone():
    settings = load_settings(
        CONFIGS / "tune.yaml", ("data=mine.json", "held_out={path: test.json, media: clips}")
    )
    assert isinstance(settings, Instruction)
    assert settings.data == (DataSource(path=Path("mine.json")),)
    assert settings.held_out == DataSource(path=Path("test.json"), media=(Path("clips"),))


def test_what_the_file_says_is_not_blamed_on_the_command_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text((CONFIGS / "tune.yaml").read_text().replace("steps: 300", "stepps: 300"))
    with pytest.raises(ConfigError, match=r"mine\.yaml: stepps: unknown key, did you mean 'steps'\?"):
        load_settings(path, ("seed=3",))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("step=7", r"'step=7': step: unknown key, did you mean 'steps'\?"),
        ("data=[{path: my.json}", r"'data=\[\{path: my\.json\}': the value is not valid YAML"),
        ("data=[{pat: my.json}]", r"data\.0\.pat: unknown key, did you mean 'path'\?"),
        ("data=[]", r"data: names no file"),
        ("lora=none", r"'lora=none': lora: expected settings of its own, as \{key: value\}, got 'none'"),
        ("kinds=[dance]", r"'dance' is no kind of question; they are colour, "),
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
