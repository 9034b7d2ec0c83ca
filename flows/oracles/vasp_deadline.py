"""A custodian handler that ends a VASP run once the validation's wall time is used up."""

from __future__ import annotations

import time
from typing import Any

from custodian.custodian import ErrorHandler


class DeadlineHandler(ErrorHandler):
    """Kills what runs after ``at`` (seconds since the epoch) and corrects nothing."""

    is_monitor = True
    is_terminating = True

    def __init__(self, at: float) -> None:
        self.at = at

    def check(self, directory: str = "./") -> bool:
        return time.time() > self.at

    def correct(self, directory: str = "./") -> dict[str, Any]:
        return {"errors": ["wall time of one validation used up"], "actions": None}
