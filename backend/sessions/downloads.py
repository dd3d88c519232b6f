"""Videos from addresses, fetched beside everything else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from fractions import Fraction

from backend.domain import Video
from backend.errors import TooLarge, TooMany, Unsupported
from backend.media import fetch
from backend.media.library import Library
from backend.settings import Settings

_AT_ONCE = 4
_RETRY_SECONDS = 10

Open = Callable[[str, float], AbstractContextManager[fetch.Download]]


class Downloads:
    """A few downloads at once, on threads of their own: a slow one holds up nothing else.

    Args:
        settings: whether there are any, and how long each may take.
        library: where they are stored.
        opening: what opens an address; for tests.
    """

    def __init__(self, settings: Settings, library: Library, opening: Open = fetch.opened) -> None:
        self._allowed = settings.allow_video_url
        self._seconds = settings.video_url_timeout_seconds
        self._library = library
        self._open = opening
        self._free = threading.Semaphore(_AT_ONCE)

    def start(self, url: str, owner: str, fps: Fraction | None) -> Future[Video]:
        """Fetch a video and store it for one session of the owner's.

        The future raises what `fetch.opened` and `Library.add_file` raise.

        Raises:
            Unsupported: `video_url_disabled`: this server fetches nothing.
            TooMany: as many downloads as there may be are under way.
        """
        if not self._allowed:
            raise Unsupported("This server takes no video_url. Upload the file instead.", "video_url_disabled")
        if not self._free.acquire(blocking=False):
            raise TooMany("Too many videos are being fetched. Try again in a moment.", retry_after=_RETRY_SECONDS)
        future: Future[Video] = Future()

        def work() -> None:
            try:
                video = self._fetch(url, owner, fps)
            except BaseException as error:
                self._free.release()
                future.set_exception(error)
            else:
                self._free.release()
                future.set_result(video)

        # A daemon: a slow server elsewhere does not keep this one from ending.
        future.set_running_or_notify_cancel()
        threading.Thread(target=work, name="download", daemon=True).start()
        return future

    def _fetch(self, url: str, owner: str, fps: Fraction | None) -> Video:
        with self._open(url, self._seconds) as source:
            limit = self._library.limits.max_bytes
            if source.size is not None and source.size > limit:
                raise TooLarge(f"The file is too large: {limit / 1e6:g} MB are allowed.", "upload_too_large")
            return self._library.add_file(source, fetch.name_in(url), owner, fps, passing=True)
