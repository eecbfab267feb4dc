"""These tests build from registered names."""

import tests.support.registered  # noqa: F401
