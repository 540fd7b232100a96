"""The command line on a bus in memory of its own, with one Job."""

from __future__ import annotations

import uuid

import pytest

from support.shell import Shell


@pytest.fixture
def shell() -> Shell:
    shell = Shell(str(uuid.uuid4()))
    shell.declare()
    return shell
