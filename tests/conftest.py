"""Fixtures that more than one folder of tests uses."""

from collections.abc import Iterator

import pytest

from tests.rig.postgres import Postgres


def pytest_configure(config: pytest.Config) -> None:
    """Marks that --strict-markers asks for."""
    config.addinivalue_line("markers", "peer: needs the Debian packages that `make peers` unpacks")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL, started when the first test asks for it."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty PostgreSQL database for one test, as a SQLAlchemy URL."""
    return postgres.new_database()
