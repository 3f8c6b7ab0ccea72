"""The kinds of job store, opened by name: what the contract's tests run over."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from backend.shared import database
from backend.shared.database import Database
from backend.shared.store import PostgresStore
from backend.store import MIGRATIONS, JobStore, SqliteStore
from tests.postgres import Postgres


class Stores(Protocol):
    """One kind of store."""

    migrations: tuple[str, ...]

    async def open(self, name: str, migrations: Sequence[str] | None = None) -> JobStore:
        """The store of that name, made where there is none yet."""
        ...

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        """What another program reads from it."""
        ...

    def schema(self, name: str) -> list[tuple[Any, ...]]: ...

    def version(self, name: str) -> int: ...


class SqliteStores:
    migrations = MIGRATIONS

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def open(self, name: str, migrations: Sequence[str] | None = None) -> JobStore:
        return SqliteStore(self._file(name), self.migrations if migrations is None else migrations)

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self._file(name))
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def schema(self, name: str) -> list[tuple[Any, ...]]:
        return self.rows(name, "SELECT name, sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name")

    def version(self, name: str) -> int:
        return int(self.rows(name, "PRAGMA user_version")[0][0])

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite3"


class PostgresStores:
    migrations = database.MIGRATIONS

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._urls: dict[str, str] = {}

    async def open(self, name: str, migrations: Sequence[str] | None = None) -> JobStore:
        url = self._url(name)
        await database.prepare(url, self.migrations if migrations is None else migrations)
        return PostgresStore(Database(url))

    def rows(self, name: str, query: str) -> list[tuple[Any, ...]]:
        async def fetch() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(self._url(name))
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            finally:
                await connection.close()

        return asyncio.run(fetch())

    def schema(self, name: str) -> list[tuple[Any, ...]]:
        columns = (
            "SELECT table_name, column_name, data_type, is_nullable, column_default "
            "FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        )
        indexes = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
        return self.rows(name, columns) + self.rows(name, indexes)

    def version(self, name: str) -> int:
        return int(self.rows(name, "SELECT version FROM holdcheck_schema")[0][0])

    def _url(self, name: str) -> str:
        if name not in self._urls:
            self._urls[name] = self._server.new_database()
        return self._urls[name]
