"""Fixtures that more than one folder of tests uses, and what holds for every run."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.rig.postgres import Postgres

settings.register_profile("short", deadline=None, max_examples=100, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=20_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


def pytest_configure(config: pytest.Config) -> None:
    """Marks that --strict-markers asks for."""
    config.addinivalue_line("markers", "peer: needs the Debian packages that `make peers` unpacks")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A run in which a test was skipped has not passed: leaving tests out is said by selecting (PEERS=none)."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    skipped = [report.nodeid for report in reporter.stats.get("skipped", [])]
    if skipped and session.exitstatus == 0:
        reporter.write_line(f"skipped, which counts as failed: {', '.join(skipped)}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL, started when the first test asks for it."""
    with Postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Postgres) -> str:
    """An empty PostgreSQL database for one test, as a SQLAlchemy URL."""
    return postgres.new_database()
