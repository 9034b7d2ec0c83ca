"""Asking an open database politely: at its pace, again after a while when it fails, never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class SourceError(RuntimeError):
    """The source cannot be read further. What was read is kept; the same command goes on from there."""


class _AgainError(Exception):
    """This answer may be better the next time; ``wait`` is what the server asks for, in seconds."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


@dataclass(frozen=True)
class RetryPolicy:
    """How a source is asked, in seconds: ``between`` requests at least; waits double from ``first_wait``."""

    attempts: int = 6
    timeout: float = 60.0
    first_wait: float = 1.0
    longest_wait: float = 120.0
    between: float = 0.2


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
        import httpx

        time.sleep(max(0.0, self._next_at - time.monotonic()))
        self._next_at = time.monotonic() + self._retry_policy.between
        try:
            response = httpx.get(
                url,
                headers=self._headers,
                timeout=self._retry_policy.timeout,
                follow_redirects=not self._headers,
            )
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise SourceError(f"{_bare(url)}: {error}") from None
        except httpx.TransportError as error:
            raise _AgainError(f"no answer ({type(error).__name__})") from None
        if response.status_code in _AGAIN:
            wait = _retry_after(response.headers.get("Retry-After", ""))
            raise _AgainError(f"answered {response.status_code}", wait)
        if response.status_code != 200:
            raise SourceError(f"{_bare(url)}: answered {response.status_code} {_detail(response)}".strip())
        try:
            content = response.json()
        except ValueError:
            raise _AgainError("the answer is no whole JSON") from None
        if not isinstance(content, dict):
            raise _AgainError("the answer is no JSON object")
        return content


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _detail(response: Any) -> str:
    """The first error's detail in a JSON:API answer, or ""."""
    try:
        return str(response.json()["errors"][0]["detail"])[:200]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""


def _bare(url: str) -> str:
    return url.split("?")[0]
