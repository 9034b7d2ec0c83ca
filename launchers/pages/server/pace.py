"""How often a client may ask where the pages are open to others than this machine."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network

MOST_A_SECOND = 50


class Pace:
    """Counts requests by client and second; what it keeps goes with the second.

    most: requests of a client in a second. clock: seconds.
    """

    def __init__(self, most: int = MOST_A_SECOND, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = most, clock
        self._began, self._counts = clock(), Counter[str]()

    def allows(self, client: str) -> bool:
        """Whether a client may ask now; that it asked counts either way.

        client: its address. Addresses of one IPv6 network (/64) are one client.
        """
        now = self._clock()
        if now - self._began >= 1.0:
            self._began, self._counts = now, Counter()
        self._counts[name := _network(client)] += 1
        return self._counts[name] <= self._most


def _network(client: str) -> str:
    try:
        address = ip_address(client.split("%")[0])
    except ValueError:
        return client
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(ip_network((address, 64), strict=False))
    return str(address)
