"""Drawing clips of the pocket world, each a pure function of its split and seed."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
from dataclasses import dataclass

import numpy as np

from ..errors import ConfigError
from . import casting, staging
from .passers import draw_passers
from .photos import photo_names
from .scenes import BACKDROPS, CAMERAS, LIGHTS, SPLITS, Backdrop, Clip, Shot

_WORLD = 0x706F636B
_PASSING = 1
_FINGERPRINTED = 12
_SHORTEST_SHOT_S = 2.0
_FRAME_RATES = (8.0, 10.0, 12.0, 12.5, 15.0, 20.0, 24.0, 25.0, 30_000 / 1001, 30.0)
_ASPECTS = (16 / 9, 3 / 2, 4 / 3, 1.0, 3 / 4, 2 / 3, 9 / 16)
_SHOT_SHARES = (0.4, 0.3, 0.2, 0.1)
_EMPTY_SHARE = 0.27
_OBJECT_SHARES = (0.42, 0.33, 0.25)
_BACKDROP_SHARES = {"with objects": (0.4, 0.2, 0.22, 0.18), "empty": (0.08, 0.17, 0.4, 0.35)}
_MOVING_SHARES = {"with objects": 0.3, "empty": 0.55}
_LIGHT_SHARES = {
    "with objects": (0.78, 0.0, 0.0, 0.11, 0.11),
    "empty": (0.4, 0.2, 0.2, 0.1, 0.1),
    "empty plain": (0.76, 0.0, 0.0, 0.12, 0.12),
}
_BLACK_AND_WHITE_SHARE = 0.3
_DRAFTS = 16


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What a caller of :func:`sample_clip` may fix."""

    shots: int | None
    duration_s: tuple[float, float]
    objects: int | None
    backdrop: str | None
    camera: str | None
    light: str | None
    tone: str | None
    max_short_side: int


def sample_clip(
    seed: int,
    split: str = "train",
    *,
    shots: int | None = None,
    duration_s: tuple[float, float] = (2.0, 30.0),
    objects: int | None = None,
    backdrop: str | None = None,
    camera: str | None = None,
    light: str | None = None,
    tone: str | None = None,
    max_short_side: int = 480,
) -> Clip:
    """Draws a clip. What is left open is drawn; what is wished for is kept wherever the world's rules allow it.

    Args:
        seed: Any integer from 0; clips of different splits share nothing even where seeds are equal.
        split: ``"train"`` (no held-out combination) or ``"test"`` (a third of the objects are held-out combinations).
        shots: Number of shots, 1 to 4.
        duration_s: Shortest and longest duration in seconds.
        objects: Objects of every shot, 0 to 3; fewer where no room is found.
        backdrop: Kind of every shot's backdrop.
        camera: Every shot's camera; a move brings a texture or photograph with it.
        light: Every shot's light where its neighbours allow; dark and bright bring empty shots.
        tone: Every shot's tone; black and white brings a texture or photograph.
        max_short_side: Longest shorter side of the frame in pixels, at least 96.

    Returns:
        The clip, the same for the same arguments on every machine.

    Raises:
        ConfigError: The split is unknown or the duration has no room for the shots.
    """
    if split not in SPLITS:
        raise ConfigError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    wishes = _Wishes(shots, duration_s, objects, backdrop, camera, light, tone, max_short_side)
    rng = np.random.default_rng([_WORLD, SPLITS.index(split), seed])
    width, height = _draw_frame_size(rng, max_short_side)
    fps = float(rng.choice(_FRAME_RATES))
    edges_s = _draw_edges(rng, wishes, fps)
    director = _Director(rng, split, wishes, (width, height))
    drawn: list[Shot] = []
    for start_s, end_s in itertools.pairwise(edges_s):
        drawn.append(director.shot(start_s, end_s, drawn))
    noise = round(float(rng.uniform(0.5, 6)), 2) if rng.random() < 0.45 else 0.0
    # Chance of its own: who passes by changes nothing else.
    passing = np.random.default_rng([_WORLD, SPLITS.index(split), seed, _PASSING])
    peopled = tuple(dataclasses.replace(shot, passers=draw_passers(passing, shot, split)) for shot in drawn)
    return Clip(seed, split, width, height, fps, peopled, noise)


def _draw_frame_size(rng: np.random.Generator, max_short_side: int) -> tuple[int, int]:
    """Draws width and height: mostly small, of any aspect from 9:16 to 16:9, odd sizes included."""
    low, high = (96, 240) if rng.random() < 0.9 else (240, 480)
    short = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
    short = max(96, min(short, max_short_side))
    usual = rng.random() < 0.75
    aspect = (
        float(rng.choice(_ASPECTS)) if usual else float(np.exp(rng.uniform(np.log(9 / 16), np.log(16 / 9))))
    )
    long = int(short * max(aspect, 1 / aspect))
    if rng.random() < 0.6:
        short, long = short // 2 * 2, long // 2 * 2
    return (long, short) if aspect > 1 else (short, long)


def _draw_edges(rng: np.random.Generator, wishes: _Wishes, fps: float) -> list[float]:
    """Draws the seconds at which shots start and end, all on frames."""
    shortest, longest = wishes.duration_s
    least_frames, most_frames = np.ceil(shortest * fps - 1e-6), np.floor(longest * fps + 1e-6)
    shot_frames = np.ceil(_SHORTEST_SHOT_S * fps - 1e-6)
    room = int(most_frames // shot_frames)
    if room < (wishes.shots or 1) or least_frames > most_frames:
        raise ConfigError(
            f"{wishes.shots or 1} shots of {_SHORTEST_SHOT_S:g} s or more do not fit into a duration "
            f"of {shortest:g} to {longest:g} s; ask for fewer shots or a longer clip"
        )
    shares = np.array(_SHOT_SHARES[:room])
    count = wishes.shots or 1 + int(rng.choice(len(shares), p=shares / shares.sum()))
    typical = (2.9, 1.5, 1.3, 1.2)[count - 1] * (2.5 if rng.random() < 0.08 else 1)
    extras = rng.gamma(1.6, typical * fps, count)
    base = count * shot_frames
    extras *= float(np.clip(extras.sum(), least_frames - base, most_frames - base)) / extras.sum()
    cuts = np.rint(np.cumsum(extras)) + shot_frames * np.arange(1, count + 1)
    return [0.0, *(float(cut) / fps for cut in cuts)]


class _Director:
    """Draws the shots of one clip, one after the other."""

    def __init__(self, rng: np.random.Generator, split: str, wishes: _Wishes, frame: tuple[int, int]) -> None:
        self._rng = rng
        self._split = split
        self._wishes = wishes
        self._frame = frame

    def shot(self, start_s: float, end_s: float, earlier: list[Shot]) -> Shot:
        """Draws a shot that goes with the earlier ones; plans that find no room give way to emptier ones."""
        count, kind, blank = self._plan(start_s, end_s, earlier)
        while True:
            for _ in range(_DRAFTS):
                shot = self._draft(blank, kind, count, earlier)
                if shot is not None:
                    return shot
            if count:
                count -= 1
            else:
                kind, blank = self._emptiest(start_s, end_s)

    def _plan(self, start_s: float, end_s: float, earlier: list[Shot]) -> tuple[int, str, Shot]:
        """Draws the number of objects, the kind of backdrop and a blank shot with camera, light and tone."""
        rng, wishes = self._rng, self._wishes
        empty = wishes.objects == 0 or wishes.light in ("dark", "bright")
        if wishes.objects is None and not empty:
            empty = rng.random() < _EMPTY_SHARE
        count = 0 if empty else wishes.objects or 1 + int(rng.choice(3, p=_OBJECT_SHARES))
        kind = self._draw_kind("empty" if empty else "with objects")
        pictured = kind in ("texture", "photo")
        light, tone, camera = wishes.light, "in colour", "is static"
        if light is None or (kind == "plain" and light in ("dark", "bright")):
            light = self._draw_light(empty, kind)
        if light == "fades in" and earlier and earlier[-1].light == "fades out":
            light = "normal"  # a cut never joins black to black
        if pictured:
            tone = wishes.tone or ("in black and white" if rng.random() < _BLACK_AND_WHITE_SHARE else tone)
            moves = rng.random() < _MOVING_SHARES["empty" if empty else "with objects"]
            camera = wishes.camera or (str(rng.choice(CAMERAS[1:])) if moves else camera)
        blank = Shot(start_s, end_s, Backdrop(kind), camera, light=light, tone=tone)
        return count, kind, self._with_amounts(blank, count)

    def _draw_kind(self, shares: str) -> str:
        wishes = self._wishes
        if wishes.backdrop:
            return wishes.backdrop
        allowed = np.array(_BACKDROP_SHARES[shares])
        pictured = wishes.tone == "in black and white" or wishes.camera not in (None, "is static")
        allowed = allowed * (1, 1, 1, bool(photo_names(self._split)))
        allowed = allowed * ((0, 0, 1, 1) if pictured else (wishes.light not in ("dark", "bright"), 1, 1, 1))
        return str(self._rng.choice(BACKDROPS, p=allowed / allowed.sum()))

    def _draw_light(self, empty: bool, kind: str) -> str:
        shares = "with objects" if not empty else "empty plain" if kind == "plain" else "empty"
        return str(self._rng.choice(LIGHTS, p=_LIGHT_SHARES[shares]))

    def _with_amounts(self, blank: Shot, count: int) -> Shot:
        """Draws how far the camera moves and how long a fade takes."""
        rng, length = self._rng, blank.end_s - blank.start_s
        camera_amount = 0.0
        if blank.camera.startswith("zooms"):
            camera_amount = float(rng.uniform(1.32, 1.7 if count else min(2.5, 1.5 + 0.15 * length)))
        elif blank.camera != "is static":
            most = 0.5 if count else min(1.0, 0.3 * length)
            camera_amount = float(rng.uniform(0.26, most))
        fade = (
            float(rng.uniform(1.0, max(1.0, min(2.0, length / 2))))
            if blank.light.startswith("fades")
            else 1.0
        )
        easing = "smooth" if camera_amount and rng.random() < 0.3 else "linear"
        return dataclasses.replace(
            blank, camera_amount=round(camera_amount, 3), light_amount=round(fade, 3), camera_easing=easing
        )

    def _draft(self, blank: Shot, kind: str, count: int, earlier: list[Shot]) -> Shot | None:
        """Tries to fill a plan with a backdrop and objects; ``None`` if they do not go together."""
        rng, frame = self._rng, self._frame
        roles = casting.cast(
            rng,
            count,
            split=self._split,
            tone=blank.tone,
            acts=blank.camera == "is static",
            taken={(thing.colour, thing.shape) for shot in earlier for thing in shot.objects},
        )
        actions = casting.schedule(rng, [role.action for role in roles], blank)
        backdrop = staging.draw_backdrop(rng, kind, blank, roles, self._split)
        if actions is None or backdrop is None:
            return None
        shot = dataclasses.replace(blank, backdrop=backdrop)
        if shot.light in ("dark", "bright"):
            shot = staging.lit(rng, shot, frame)
        if not staging.is_clear(shot, frame):
            return None
        if earlier and not staging.cut_shows(earlier[-1], shot, frame):
            return None
        behind = staging.preview(shot, frame, shot.start_s)
        things = casting.place(rng, roles, actions, shot, frame, behind)
        return None if things is None else dataclasses.replace(shot, objects=things)

    def _emptiest(self, start_s: float, end_s: float) -> tuple[str, Shot]:
        """Returns the plan that always finds a draft: an empty texture in normal light."""
        return "texture", Shot(start_s, end_s, Backdrop("texture"))


def world_fingerprint() -> str:
    """Returns a short hash of the clips that some seeds give: another one means that seeds stand for other clips."""
    drawn = [sample_clip(seed, split) for split in SPLITS for seed in range(_FINGERPRINTED)]
    return hashlib.blake2b(repr(drawn).encode(), digest_size=8).hexdigest()
