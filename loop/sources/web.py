"""Asking an open database politely: at its pace, again after a while when it fails, never for ever."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from niobe.config.outside.json_text import TooDeepError, not_too_deep
from niobe.loop.documents.json_text import TooManyError, check_values

if TYPE_CHECKING:
    import httpx

_AGAIN = {408, 425, 429, 500, 502, 503, 504}
_LARGEST, _MOST_VALUES, _DEEPEST, _MOST_REDIRECTS = 32 * 2**20, 5_000_000, 32, 5


class SourceError(RuntimeError):
    """The source cannot be read further. What was read is kept; the same command goes on from there."""


class _AgainError(Exception):
    """This answer may be better the next time; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class RetryPolicy:
    """How a source is asked, in seconds: ``between`` requests at least; waits double from ``first_wait``.

    timeout: for each step of an answer; total: for all of it.
    """

    attempts: int = 6
    timeout: float = 60.0
    total: float = 180.0
    first_wait: float = 1.0
    longest_wait: float = 120.0
    between: float = 0.2


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    retry_after: str


class Web:
    """JSON answers of one source. Headers (such as a key) are sent there and nowhere else."""

    def __init__(
        self,
        retry_policy: RetryPolicy = RetryPolicy(),
        headers: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._retry_policy, self._headers, self._say = retry_policy, dict(headers or {}), say
        self._next_at = 0.0

    def json(self, url: str) -> dict[str, Any]:
        """The JSON object at ``url``. Raises SourceError where it is refused, or keeps failing."""
        wait = self._retry_policy.first_wait
        problem = ""
        for attempt in range(1, self._retry_policy.attempts + 1):
            try:
                return self._ask(url)
            except _AgainError as error:
                problem = str(error)
                pause = min(wait if error.wait is None else error.wait, self._retry_policy.longest_wait)
            if attempt < self._retry_policy.attempts:
                self._say(f"{problem}; asking again in {pause:g} s")
                time.sleep(pause)
                wait *= 2
        raise SourceError(f"{_bare(url)}: {problem}; gave up after {self._retry_policy.attempts} attempts")

    def _ask(self, url: str) -> dict[str, Any]:
        import httpx  # noqa: F401 - imported here, for its import is no part of the answer's time

        time.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + self._retry_policy.between
        try:
            answer = asyncio.run(self._get_in_time(url))
        except TimeoutError:
            raise SourceError(f"{_bare(url)}: no whole answer in {self._retry_policy.total:g} s") from None
        if answer.status in _AGAIN:
            raise _AgainError(f"answered {answer.status}", _retry_after(answer.retry_after))
        if answer.status != 200:
            raise SourceError(f"{_bare(url)}: answered {answer.status} {_detail(answer.body)}".strip())
        try:
            text = answer.body.decode()
            check_values(text, _MOST_VALUES)
            content = json.loads(not_too_deep(text))
        except TooDeepError:
            raise SourceError(f"{_bare(url)}: the answer is nested too deeply") from None
        except TooManyError as error:
            raise SourceError(f"{_bare(url)}: the answer has {error}") from None
        except ValueError:
            raise _AgainError("the answer is no whole JSON") from None
        if not isinstance(content, dict):
            raise _AgainError("the answer is no JSON object")
        _check_shape(url, content)
        return content

    async def _get_in_time(self, url: str) -> _Answer:
        asyncio.get_running_loop().set_exception_handler(_unless_interrupted)
        return await asyncio.wait_for(self._get(url), self._retry_policy.total)

    async def _get(self, url: str) -> _Answer:
        """The answer, after redirects within the same origin. Raises SourceError for one that leads away."""
        import httpx

        headers = self._headers | {"Accept-Encoding": "gzip"}
        async with httpx.AsyncClient(headers=headers, timeout=self._retry_policy.timeout) as client:
            here = url
            for _ in range(_MOST_REDIRECTS + 1):
                try:
                    async with client.stream("GET", here, follow_redirects=False) as response:
                        if not response.is_redirect:
                            return await _read(url, response)
                        there = urljoin(here, response.headers.get("Location", ""))
                        is_elsewhere = origin(there) != origin(url)
                except (httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError) as error:
                    raise SourceError(f"{_bare(url)}: {error}") from None
                except httpx.HTTPError as error:
                    raise _AgainError(f"no answer ({type(error).__name__})") from None
                if is_elsewhere:
                    raise SourceError(f"{_bare(url)}: redirects to {_bare(there)[:200]}, another server")
                here = there
        raise SourceError(f"{_bare(url)}: redirects more than {_MOST_REDIRECTS} times")


def _unless_interrupted(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """asyncio logs what a task raised as it was given up; Ctrl-C is no news to who pressed it."""
    if not isinstance(context.get("exception"), KeyboardInterrupt):
        loop.default_exception_handler(context)


async def _read(url: str, response: httpx.Response) -> _Answer:
    """Status and body. Raises SourceError where it is larger than any page, once unpacked."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() not in {"gzip", "identity", ""}:
        raise SourceError(f"{_bare(url)}: the answer is packed in another way than gzip")
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _LARGEST:
            raise SourceError(f"{_bare(url)}: the answer is larger than {_LARGEST // 2**20} MiB")
    return _Answer(response.status_code, bytes(body), response.headers.get("Retry-After", ""))


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address. Raises ValueError where it is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def _check_shape(url: str, content: dict[str, Any]) -> None:
    """Raises SourceError where an answer is deeper than any entry of a database is."""
    level: list[Any] = [content]
    for _ in range(_DEEPEST):
        level = [
            part
            for value in level
            for part in (value.values() if isinstance(value, dict) else value)
            if isinstance(part, dict | list)
        ]
        if not level:
            return
    raise SourceError(f"{_bare(url)}: the answer is nested deeper than {_DEEPEST}")


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _detail(body: bytes) -> str:
    """The first error's detail in a JSON:API answer, or ""."""
    try:
        return str(json.loads(not_too_deep(body.decode()))["errors"][0]["detail"])[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def _bare(url: str) -> str:
    return url.split("?")[0]
