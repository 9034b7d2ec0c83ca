"""The embedded database beside another server of MongoDB's protocol: generated filters and updates, counted.

``python -m tests.benchmarks.differential URI [NAME]`` prints how often they agree, and publishes it where the
other is named. Where they differ, ``semantics.reference``, written from MongoDB's manual apart from both,
says which is right; 1 is returned where that is not the embedded one.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bson import ObjectId
from pymongo.errors import PyMongoError

from niobe.launchers.embedded import ensure_server, stop_server
from tests.benchmarks.publish import publish
from tests.launchers.embedded.semantics import reference
from tests.launchers.embedded.semantics import test_generated as generated
from tests.launchers.embedded.tools import connect

FILTERS, UPDATES, DOCUMENTS, SEED = 4_000, 2_000, 150, 7
REFUSED, ERROR = "refused", "error"
Ask = Callable[[Any], Any]
Case = tuple[str, Ask, Any]
"""Of what kind it is, what a collection is asked, and what the manual says that it answers."""


def cases(documents: list[dict[str, Any]]) -> Iterator[Case]:
    """Filters over documents, then updates of one."""
    chance = random.Random(SEED)
    for _ in range(FILTERS):
        yield _filter(generated.a_filter(chance), documents)
    for _ in range(UPDATES):
        yield _update(chance.choice(documents), generated.an_update(chance))


def _filter(filter: dict[str, Any], documents: list[dict[str, Any]]) -> Case:
    said = [one["_id"] for one in documents if reference.matches(one, filter)]
    return "filters", lambda c: [one["_id"] for one in c.find(filter, sort=[("_id", 1)])], said


def _update(document: dict[str, Any], update: dict[str, Any]) -> Case:
    key = {"_id": document["_id"]}

    def ask(collection: Any) -> Any:
        collection.replace_one(key, document)
        collection.update_one(key, update)
        return collection.find_one(key)

    try:
        return "updates", ask, reference.changed(document, update)
    except reference.RefusedError:
        return "updates", ask, ERROR


def answer(ask: Ask, collection: Any) -> Any:
    """What a collection answers, or that it does not."""
    try:
        return ask(collection)
    except PyMongoError as error:
        return REFUSED if getattr(error, "code", None) == generated.NOT_SUPPORTED else ERROR


def outcome(here: Any, there: Any, said: Any) -> str:
    """Who is right. here, there: answers. said: by the manual."""
    if here == REFUSED:
        return "refused here"
    if repr(here) == repr(there):  # as text: a NaN equals a NaN
        return "equal"
    return "differ, the other from the manual" if _agree(here, said) else "differ, wrong here"


def _agree(found: Any, said: Any) -> bool:
    if isinstance(found, dict) and isinstance(said, dict):
        return reference.compare(found, said) == 0
    return bool(found == said)


def counted(uri: str, folder: Path) -> Counter[tuple[str, str]]:
    """How many cases there are, by kind and outcome. uri: of the other. folder: of the embedded one."""
    chance = random.Random(SEED)
    documents = [generated.document(chance, number) for number in range(DOCUMENTS)]
    found: Counter[tuple[str, str]] = Counter()
    name = f"t{ObjectId()}"
    with connect(ensure_server(folder)) as here, connect(uri) as there:
        pair = here["differential"][name], there["differential"][name]
        for collection in pair:
            collection.insert_many(documents)
        for kind, ask, said in cases(documents):
            mine, others = (answer(ask, collection) for collection in pair)
            found[kind, outcome(mine, others, said)] += 1
        pair[1].drop()
    stop_server(folder)
    return found


def main(uri: str, other: str = "") -> int:
    """Count, print and, where the other has a name, publish; 1 where the embedded server was wrong."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = counted(uri, Path(folder) / "db")
    columns = ("equal", "refused here", "differ, the other from the manual", "differ, wrong here")
    rows = [
        {"what": kind, "cases": total} | {column: found[kind, column] for column in columns}
        for kind, total in (("filters", FILTERS), ("updates", UPDATES))
    ]
    print(*rows, sep="\n")
    if other:
        publish(
            "database-differential",
            page="database",
            title=f"The embedded database beside {other}: generated cases",
            headline=f"{{0[cases]}} filters, {{1[cases]}} updates beside {other}: "
            "{0[differ, wrong here]} and {1[differ, wrong here]} wrong here",
            command=f'python -m tests.benchmarks.differential URI "{other}"',
            rows=rows,
            seconds=time.monotonic() - started,
            seeds=[SEED],
            notes=[
                "Who is right where they differ is read off MongoDB's manual, written down apart from both."
            ],
            order=54,
        )
    return int(any(row[columns[-1]] for row in rows))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
