"""Which store of files a database's jobs are kept in: both carry the same id.

A wrong DATA_URL, or a share that is not mounted, answers as a store without a single photo would. Taken for
the right one, every job that waits would be forgotten, and what is in another database's store erased.
"""

from typing import Any

from backend.blobs import Blobs
from backend.shared.database import BINDING, Database
from backend.store import StoreUnusable

MARK_NAME = "holdcheck-store"
"""At the root of DATA_URL: the id of the database whose jobs' files these are."""


async def bind(url: str, blobs: Blobs, data_url: str) -> str:
    """The id that a prepared database and its store of files have in common. Where neither was used before,
    the store is given the database's. It blocks its event loop: for the start.

    Raises:
        StoreUnusable: they do not belong together.
        StorageUnavailable: one of them does not answer.
    """

    async def agree(connection: Any) -> str:
        # The files may be far away; while they are asked, this connection says nothing.
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", BINDING)
        store_id, bound = await connection.fetchrow("SELECT id, bound FROM holdcheck_store")
        found = read_mark(blobs)
        if found is None and not bound:
            blobs.put(MARK_NAME, store_id.encode())
            found = read_mark(blobs)
        if found is None:
            raise StoreUnusable(
                f"DATA_URL={data_url} is not the store that this database's jobs are kept in: it has no "
                f"{MARK_NAME}. DATA_URL is wrong, or its folder is not mounted"
            )
        if found != store_id:
            raise StoreUnusable(
                f"DATA_URL={data_url} is not the store that this database's jobs are kept in: by its "
                f"{MARK_NAME} it is another database's. One of DATABASE_URL and DATA_URL is wrong; a new "
                "database takes a folder or prefix of its own"
            )
        # Last: a start that dies before this is repeated by the next one, under the same id.
        await connection.execute("UPDATE holdcheck_store SET bound = true WHERE NOT bound")
        return str(store_id)

    database = Database(url)
    try:
        return await database.call(agree)
    finally:
        await database.close()


def read_mark(blobs: Blobs) -> str | None:
    """Which id a store of files has; None where it has none, or is not there.

    Raises:
        StorageUnavailable: it does not answer.
    """
    try:
        with blobs.open(MARK_NAME) as file:
            return file.read().decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
