"""The database's clock, which alone is the same for all hosts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from niobe.loop.store.mapping import Document

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection
    from pymongo.database import Database as MongoDatabase


def server_time(mongo: MongoDatabase[Document]) -> datetime:
    """What the database's clock shows, in UTC."""
    return _in_utc(mongo.client.admin.command("hello")["localTime"])


def unchanged_for(
    sightings: MongoCollection[Document], group: str, values: Mapping[str, str]
) -> dict[str, float]:
    """Seconds by the database's clock since each value was first seen as it is now, by key.

    Whoever looks, and whichever clock wrote the values: two looks so far apart are needed.

    sightings: where it is kept what was seen. group: of keys; those seen no more are forgotten. values: of
    now, by key.
    """
    from pymongo import UpdateOne

    found = {one["_id"]: one for one in sightings.find({"group": group})}
    new = {key: value for key, value in values.items() if found.get(key, {}).get("value") != value}
    changes = [
        UpdateOne(
            {"_id": key},
            {"$set": {"value": value, "group": group}, "$currentDate": {"since": True}},
            upsert=True,
        )
        for key, value in new.items()
    ]
    if changes:
        sightings.bulk_write(changes, ordered=False)
    if gone := sorted(found.keys() - values.keys()):
        sightings.delete_many({"_id": {"$in": gone}})
    if not values.keys() - new.keys():
        return dict.fromkeys(values, 0.0)
    now = server_time(sightings.database)
    return {
        key: 0.0 if key in new else (now - _in_utc(found[key]["since"])).total_seconds() for key in values
    }


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
