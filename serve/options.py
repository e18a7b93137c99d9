"""What a server can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from videollm.errors import ConfigError

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SHORTEST_PASSWORD = 8


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """Who may come in, and with how much.

    Attributes:
        host: Address that is listened on.
        allow_hosts: Further names under which the server may be asked, as of a proxy in front.
        password: What everybody must know; ``None`` for nobody needs to.
        api_keys: File of the API's keys.
        fetch_from: Hosts that videos may be fetched from; none by default.
        max_file_mb: Largest upload in megabytes.
    """

    host: str = "127.0.0.1"
    allow_hosts: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    api_keys: Path | None = None
    fetch_from: tuple[str, ...] = ()
    max_file_mb: int = 2048

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can ask."""
        return self.host in _LOOPBACK

    @property
    def is_open_to_all(self) -> bool:
        """Whether other machines can ask, and need no password."""
        return not self.is_loopback and self.password is None


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Where the site is served, and to whom.

    Attributes:
        site: Who may come in, and with how much.
        port: Port to listen on; 0 takes any free one.
        open_browser: Whether to open the page in the browser once it is ready.
        data: Directory of what is kept from run to run: conversations, uploads, and the secret that cookies are signed
            with; ``None`` for the usual one.
        forget: Whether all that goes when the server ends.
        keep_hours: Hours until an upload is removed.
        grace_s: Seconds that answers may take to come to their end once the server is to end.
        cache: Whether encoded videos are kept on the disk as well.

    Raises:
        ConfigError: What is forgotten is to lie in a directory.
    """

    site: SiteOptions = SiteOptions()
    port: int = 7860
    open_browser: bool = False
    data: Path | None = None
    forget: bool = False
    keep_hours: float = 24.0
    grace_s: float = 10.0
    cache: bool = True

    def __post_init__(self) -> None:
        if self.forget and self.data is not None:
            raise ConfigError("--forget keeps nothing, and --data says where it is kept: give one of the two")


def read_password(path: Path) -> str:
    """Returns the first line of a file, the password.

    Raises:
        ConfigError: The file cannot be read, or the line is too short to keep anybody out.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a password ({error})") from error
    password = lines[0].strip() if lines else ""
    if len(password) < _SHORTEST_PASSWORD:
        raise ConfigError(
            f"{path}: the password in its first line must have at least {_SHORTEST_PASSWORD} characters, "
            f"got {len(password)}"
        )
    return password
