"""The whole door: what stands around the page and the API, in the order in which a request meets it."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.types import ASGIApp

from .bodies import BodyLimits, LimitBodies
from .closed import CloseGradio
from .guard import Guard
from .headers import SafeHeaders
from .hosts import AllowedHosts
from .keys import ApiKeys
from .owners import Owners
from .password import PasswordDoor
from .slots import LimitUploads


@dataclass(frozen=True, slots=True)
class DoorSettings:
    """Who may come in, and with how much.

    Attributes:
        secret: The server's secret.
        hosts: The hosts that may be asked for.
        limits: What a body may cost; ``/v1/videos`` needs a limit of its own there.
        password: The password that all share, if one is needed.
        keys: The keys of the API, if there are any.
        program_owner: As for :class:`.owners.Owners`.
        uploads_at_once: Large bodies of one owner at a time.
    """

    secret: bytes = field(repr=False)
    hosts: AllowedHosts
    limits: BodyLimits = field(default_factory=BodyLimits)
    password: str | None = field(default=None, repr=False)
    keys: ApiKeys | None = None
    program_owner: str | None = None
    uploads_at_once: int = 4


def build_door(app: ASGIApp, settings: DoorSettings) -> ASGIApp:
    """Returns the application behind the door.

    From the outside in: headers of all answers; limits of bodies, which also end the connection of a refused one; host
    and origin; the owner; the password; how many uploads; Gradio's closed routes.
    """
    app = CloseGradio(app)
    app = LimitUploads(app, settings.uploads_at_once)
    if settings.password is not None:
        app = PasswordDoor(app, settings.secret, settings.password)
    app = Owners(app, settings.secret, settings.keys, settings.program_owner)
    app = Guard(app, settings.hosts)
    app = LimitBodies(app, settings.limits)
    return SafeHeaders(app)
