"""The server's records, looked at and disturbed beside it: a SQLite file, or a database of PostgreSQL (TESTS_DATABASE=postgres)."""

import contextlib
import os
import sqlite3

import pytest

KIND = os.environ.get("TESTS_DATABASE", "sqlite")
assert KIND in ("sqlite", "postgres"), "TESTS_DATABASE is sqlite or postgres"

only_postgres = [
    pytest.mark.postgres,
    pytest.mark.skipif(KIND != "postgres", reason="it wants TESTS_DATABASE=postgres: run `tests/run postgres`"),
]


class SqliteBeside:
    """A connection to the file."""

    def __init__(self, house):
        found = [path for path in (house.folder / "data").rglob("*") if path.is_file() and path.read_bytes()[:15] == b"SQLite format 3"]
        assert len(found) == 1, found
        self.connection = sqlite3.connect(found[0], isolation_level=None, timeout=30)
        self.close = self.connection.close

    def execute(self, statement: str) -> list[tuple]:
        """Its rows."""
        return self.connection.execute(statement).fetchall()

    def hold(self, reads: bool = False):
        """Nobody else writes until `release`; with `reads` nobody reads either."""
        try:
            self.execute("BEGIN EXCLUSIVE" if reads else "BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            pytest.skip(f"the server holds its database for itself, so that nothing beside it can stop it ({error})")

    def release(self):
        """Ends what `hold` began."""
        self.execute("ROLLBACK")

    def refuse(self, name: str, event: str):
        """Rows are refused from now on: `refuse("no_more", "INSERT ON quiz")`."""
        self.execute(f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, 'no'); END")

    def allow(self, name: str, table: str):
        """Ends what `refuse` began."""
        self.execute(f"DROP TRIGGER {name}")

    def columns(self, table: str) -> set[str]:
        """A table's."""
        return {row[1] for row in self.execute(f"PRAGMA table_info({table})")}

    def tables(self) -> set[str]:
        """All of them."""
        return {row[0] for row in self.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def unique(self, table: str) -> list[set[str]]:
        """What is unique in a table: the columns of each such index."""
        indexes = [row[1] for row in self.execute(f"PRAGMA index_list({table})") if row[2]]
        return [{row[2] for row in self.execute(f"PRAGMA index_info({index})")} for index in indexes]


class PostgresBeside:
    """A connection to the server's database."""

    def __init__(self, house):
        self.connection = house.cluster.connect(house.database.rsplit("/", 1)[1])
        self.close = self.connection.close

    def execute(self, statement: str) -> list[tuple]:
        """Its rows."""
        return [tuple(row) for row in self.connection.run(statement) or []]

    def hold(self, reads: bool = False):
        """Nobody else writes until `release`; with `reads` nobody reads either. The nodes' own table is left alone: they live on."""
        tables = ", ".join(sorted(self.tables() - {"node"}))
        self.execute("BEGIN")
        self.execute(f"LOCK TABLE {tables} IN {'ACCESS EXCLUSIVE' if reads else 'EXCLUSIVE'} MODE")

    def release(self):
        """Ends what `hold` began."""
        self.execute("ROLLBACK")

    def refuse(self, name: str, event: str):
        """Rows are refused from now on: `refuse("no_more", "INSERT ON quiz")`."""
        self.execute(
            "CREATE OR REPLACE FUNCTION refused() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'; END $$"
        )
        self.execute(f"CREATE TRIGGER {name} BEFORE {event} FOR EACH ROW EXECUTE FUNCTION refused()")

    def allow(self, name: str, table: str):
        """Ends what `refuse` began."""
        self.execute(f"DROP TRIGGER {name} ON {table}")

    def columns(self, table: str) -> set[str]:
        """A table's."""
        return {row[0] for row in self.execute(f"SELECT column_name FROM information_schema.columns WHERE table_name = '{table}'")}

    def tables(self) -> set[str]:
        """All of them."""
        return {row[0] for row in self.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}

    def unique(self, table: str) -> list[set[str]]:
        """What is unique in a table: the columns of each such index."""
        rows = self.execute(
            "SELECT array_agg(attname::text) FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey) "
            f"WHERE indrelid = '{table}'::regclass AND indisunique GROUP BY indexrelid"
        )
        return [set(row[0]) for row in rows]


def beside(house) -> SqliteBeside | PostgresBeside:
    """The server's records, opened beside it."""
    return SqliteBeside(house) if KIND == "sqlite" else PostgresBeside(house)


@contextlib.contextmanager
def held(house, reads: bool = False):
    """Nobody writes meanwhile; with `reads` nobody reads either."""
    holding = beside(house)
    try:
        holding.hold(reads)
        yield
        holding.release()
    finally:
        holding.close()
