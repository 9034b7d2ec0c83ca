"""Off loopback a client gets so many answers a second, and others are not held up by it."""

from __future__ import annotations

from collections import Counter

import httpx

from niobe.launchers.pages.server.access import Access
from niobe.launchers.pages.server.pace import MOST_A_SECOND, Pace
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import served


def asked(pace: Pace, client: str, times: int) -> int:
    return sum(pace.allows(client) for _ in range(times))


def test_a_client_has_so_many_a_second_and_another_its_own() -> None:
    moment = [0.0]
    pace = Pace(5, lambda: moment[0])
    assert asked(pace, "10.0.0.1", 9) == 5
    assert asked(pace, "10.0.0.2", 9) == 5
    moment[0] = 1.0
    assert asked(pace, "10.0.0.1", 9) == 5


def test_addresses_of_one_network_are_one_client() -> None:
    pace = Pace(5, lambda: 0.0)
    assert sum(asked(pace, f"2001:db8::{n:x}", 1) for n in range(1, 30)) == 5
    assert asked(pace, "2001:db8:0:1::1", 9) == 5
    assert asked(pace, "fe80::1%eth0", 9) == 5
    assert asked(pace, "::ffff:10.0.0.1", 9) == asked(pace, "::ffff:10.0.0.2", 9) == 5
    assert asked(pace, "", 9) == 5


def test_pages_answer_429_off_loopback_and_all_on_it(database: Database, mongo_uri: str) -> None:
    for guarded in (True, False):
        access = Access(hosts=None, token="t", guarded=guarded)
        with served(database, mongo_uri, access) as address, httpx.Client(base_url=address) as client:
            found = Counter(client.get("/static/niobe.css").status_code for _ in range(3 * MOST_A_SECOND))
        assert set(found) <= {200, 429} and found[200] >= MOST_A_SECOND
        assert (found[429] > 0) == guarded
