"""The container: its file is linted, and its steps are taken one by one outside Docker, up to a server that answers."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

from videollm_serve.options import ServerOptions

# What the steps name in the image, and what therefore lies in a directory of its own here.
PLACES = ("/opt/videollm", "/build", "/data", "/run/secrets")
# Only root in an image may make accounts; the step is held to this.
ACCOUNT = re.compile(
    r"useradd --system --uid 10001 --no-create-home videollm\s+&& install --directory --owner=videollm --mode=700 /data"
)


@dataclass
class Image:
    """What the steps of a Dockerfile have made so far, below ``root`` instead of ``/``."""

    context: Path
    root: Path
    environment: dict[str, str]
    directory: str = "/"
    not_taken: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    program: list[str] = field(default_factory=list)

    def path(self, inside: str) -> Path:
        return self.root / inside.lstrip("/")

    def outside(self, text: str) -> str:
        """A text in which the image's places are those here."""
        for place in PLACES:
            text = re.sub(rf"(?<![\w.]){re.escape(place)}\b", str(self.path(place)), text)
        return text

    def take(self, name: str, value: str) -> None:
        """Takes one step."""
        match name:
            case "WORKDIR":
                self.directory = value
                self.path(value).mkdir(parents=True, exist_ok=True)
            case "ENV":
                key, _, text = value.partition("=")
                self.environment[key] = self.outside(text).replace("$PATH", self.environment["PATH"])
            case "COPY":
                self.copy(*value.split())
            case "RUN":
                self.run(value)
            case "HEALTHCHECK":
                self.health = json.loads(value.partition("CMD ")[2])
            case "ENTRYPOINT" | "CMD":
                self.program += json.loads(value)
            case _:
                assert name in ("FROM", "ARG", "USER", "VOLUME", "EXPOSE", "COMMENT"), name

    def copy(self, *names: str) -> None:
        *sources, target = names
        for source in sources:
            wanted = self.path(self.directory) / target
            if (self.context / source).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(self.context / source, wanted, ignore=ignored)
            else:
                shutil.copy(self.context / source, wanted)

    def run(self, command: str) -> None:
        if ACCOUNT.fullmatch(command):
            self.not_taken.append(command)
            self.path("/data").mkdir(mode=0o700)
            return
        for step in self.outside(command).split("&&"):
            done = subprocess.run(
                ["/bin/sh", "-c", step],
                cwd=self.path(self.directory),
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{step}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
            if "-m venv" in step:
                self.lend_packages()

    def lend_packages(self) -> None:
        """Lets the new environment see what is installed here, so that pip has nothing to fetch."""
        ours, version = sysconfig.get_path("purelib"), f"python{sys.version_info[0]}.{sys.version_info[1]}"
        theirs = self.path("/opt/videollm") / "lib" / version / "site-packages"
        (theirs / "lent.pth").write_text(ours, encoding="utf-8")


@pytest.fixture(scope="module")
def image(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """All steps of the Dockerfile, taken."""
    root = tmp_path_factory.mktemp("image")
    python = Path(sys.base_prefix) / "bin"
    path = os.pathsep.join([str(python), os.environ["PATH"]])
    image = Image(repository, root, {"PATH": path, "HOME": str(root), "OMP_NUM_THREADS": "1"})
    parser = DockerfileParser(path=str(repository / "Dockerfile"))
    for step in parser.structure:
        image.take(step["instruction"], step["value"])
    return image


@pytest.fixture(scope="module")
def compose(repository: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((repository / "compose.yaml").read_text("utf-8"))
    return found


def test_the_linter_has_nothing_to_say(repository: Path) -> None:
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, repository / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_sent_to_the_builder_is_what_the_steps_copy(repository: Path) -> None:
    ignore = (repository / ".dockerignore").read_text("utf-8").splitlines()
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    text = (repository / "Dockerfile").read_text("utf-8")
    copied = {name for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for name in line.split()[:-1]}
    assert ignore[0] == "**"
    assert let_in == copied


def test_only_making_the_account_is_left_to_docker(image: Image) -> None:
    assert len(image.not_taken) == 1


def test_the_package_is_installed_and_not_only_lent(image: Image) -> None:
    where = (
        "import videollm, videollm_serve, videollm_train; print(videollm.__file__, videollm_serve.__file__)"
    )
    done = subprocess.run(
        [image.path("/opt/videollm/bin/python"), "-c", where],
        cwd=image.path("/data"),
        env=image.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(path.startswith(str(image.root)) for path in done.stdout.split())


@pytest.fixture
def url(image: Image) -> Iterator[str]:
    """Where the image's program serves; without its password, as the health check must not need one."""
    secret = image.path("/run/secrets")
    secret.mkdir(parents=True)
    (secret / "password").write_text("correct horse", encoding="utf-8")
    command = [image.outside(word) for word in image.program] + ["--port", "0"]
    program = shutil.which(command[0], path=image.environment["PATH"])
    assert program is not None
    assert program.startswith(str(image.root))
    with subprocess.Popen(
        [program, *command[1:]],
        cwd=image.path("/data"),
        env=image.environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                yield found[0]
                break
        else:
            raise AssertionError("".join(said))
        process.terminate()
        process.communicate()


def test_the_program_serves_behind_its_password_and_is_found_healthy(image: Image, url: str) -> None:
    check = [word.replace("http://127.0.0.1:7860", url) for word in image.health]
    done = subprocess.run(check, env=image.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    elsewhere = shlex.join(check).replace("/healthz", "/v1/models")
    refused = subprocess.run(
        shlex.split(elsewhere), env=image.environment, capture_output=True, text=True, check=False
    )
    assert "401" in refused.stderr or "/login" in refused.stderr or "403" in refused.stderr
    assert (image.path("/data") / "serve").stat().st_mode & 0o077 == 0


def test_the_compose_file_names_what_there_is(compose: dict[str, Any], image: Image) -> None:
    service = compose["services"]["videollm"]
    assert set(service["secrets"]) == set(compose["secrets"])
    assert [volume.partition(":")[0] for volume in service["volumes"]] == list(compose["volumes"])
    assert f"/run/secrets/{service['secrets'][0]}" in image.program
    assert [volume.partition(":")[2] for volume in service["volumes"]] == ["/data"]
    assert image.environment["VIDEOLLM_DATA"] in image.outside(" ".join(image.program))


def test_the_container_is_not_killed_while_answers_may_still_end(compose: dict[str, Any]) -> None:
    patience = compose["services"]["videollm"]["stop_grace_period"]
    assert float(patience.removesuffix("s")) >= ServerOptions().grace_s + 5


def test_the_compose_file_opens_the_server_to_this_machine_alone_and_gives_it_little(
    compose: dict[str, Any],
) -> None:
    service = compose["services"]["videollm"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
