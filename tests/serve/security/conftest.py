"""Attacks on a service as it runs in a clinic: with accounts. Which database keeps them changes nothing here."""

import pytest


@pytest.fixture
def database() -> str:
    """SQLite, in the folder of the options."""
    return ""
