"""Fixtures of the engine's tests."""

import logging
from collections.abc import Iterator

import pytest
from mmengine.logging import MMLogger

import tests.support.registered  # noqa: F401


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What is logged during the test, as 'LEVEL message'."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(f'{record.levelname} {record.getMessage()}')

    logger, handler = MMLogger.get_current_instance(), Keep()
    logger.addHandler(handler)
    yield lines
    logger.removeHandler(handler)
