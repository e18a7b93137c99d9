"""The media that a request names, as files: its owner's uploads, ``data:`` URLs, addresses where that is allowed."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videollm.errors import ConfigError, DataError
from videollm.media import ReadOptions

from ..service.programs import ProgramMedium
from ..web.errors import RequestError
from ..web.fetching import FetchError, FetchPolicy, decode_data_url, fetch
from ..web.incoming import IncomingFile
from ..web.kinds import mime_of
from ..web.storage import in_thread
from ..web.uploads import known_id

if TYPE_CHECKING:
    from ..web.storage import UploadStore
    from .schemas import Extension, Look
    from .translating import WishedMedium

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True, slots=True)
class MediaSources:
    """Where media may come from.

    Attributes:
        store: The uploads.
        policy: What may be fetched from elsewhere.
        most_media: Most media of one request.
    """

    store: UploadStore
    policy: FetchPolicy
    most_media: int = 8

    @asynccontextmanager
    async def files(
        self, owner: str, wished: Sequence[WishedMedium], usual: Extension
    ) -> AsyncIterator[list[ProgramMedium]]:
        """Gives the files and how each is looked at; what was brought with the request is removed in the end.

        Raises:
            RequestError: There is no such upload, it is no video or image, or it may not be fetched.
        """
        if len(wished) > self.most_media:
            raise RequestError(
                400,
                f"a request may have {self.most_media} videos and images, got {len(wished)}: ask about fewer",
                code="invalid",
                param="messages",
            )
        async with AsyncExitStack() as kept:
            yield [await self._medium(owner, one, usual, kept) for one in wished]

    async def _medium(
        self, owner: str, wished: WishedMedium, usual: Extension, kept: AsyncExitStack
    ) -> ProgramMedium:
        options = _options(wished, usual)
        try:
            if wished.url[:5].lower() == "data:":
                return ProgramMedium(await self._written(wished.url, kept), options, wished.param)
            if _ADDRESS.match(wished.url):
                return ProgramMedium(await self._fetched(wished.url, kept), options, wished.param)
            upload = await in_thread(self.store.get, owner, known_id(wished.url))
            return ProgramMedium(await in_thread(self.store.path, owner, upload.id), options, upload.name)
        except (FetchError, DataError) as error:
            raise RequestError(400, str(error), code="invalid_url", param=wished.param) from None
        except RequestError as error:
            error.param = error.param or wished.param
            raise

    async def _written(self, url: str, kept: AsyncExitStack) -> Path:
        data = decode_data_url(url, self.policy.max_bytes)
        file = await kept.enter_async_context(IncomingFile(self.store.incoming))
        await file.write(data)
        await file.finish()
        _judge(file.head)
        return file.path

    async def _fetched(self, url: str, kept: AsyncExitStack) -> Path:
        file = await kept.enter_async_context(IncomingFile(self.store.incoming))

        def fetch_it() -> None:
            with file.path.open("xb") as into:
                fetch(url, into, self.policy)

        await in_thread(fetch_it)
        with file.path.open("rb") as arrived:
            _judge(arrived.read(4096))
        return file.path


def _judge(head: bytes) -> None:
    if mime_of(head) is None:
        raise RequestError(
            415, "this is neither a video nor an image that is known here", code="unknown_type"
        )


def _options(wished: WishedMedium, usual: Extension) -> ReadOptions:
    """How a medium is looked at: as it says itself, else as the request says of all."""
    said: dict[str, Any] = {**_looks(usual), **_looks(wished.look)}
    try:
        return ReadOptions(**said)
    except ConfigError as error:
        # Numbers by themselves have been checked: what is left is a window that ends before it starts.
        raise RequestError(400, str(error), code="invalid", param=wished.field("end_s")) from None


def _looks(look: Look) -> dict[str, float | int]:
    return {
        name: value
        for name in ("start_s", "end_s", "fps", "max_frames", "max_visual_tokens")
        if (value := getattr(look, name)) is not None
    }
