"""As process 1 of a container the command hands over to an init; anywhere else it goes on as it is."""

from __future__ import annotations

import pytest

from jetmill.init import TINI, decide_command

STARTED = ["/usr/local/bin/python3", "/usr/local/bin/jetmill", "worker", "--job", "send-email"]


def test_process_1_becomes_a_child_of_tini_with_its_whole_command_line() -> None:
    assert decide_command(STARTED, pid=1, has_init=True) == [TINI, "--", *STARTED]


@pytest.mark.parametrize(("pid", "has_init"), [(1, False), (2, True), (4711, True), (4711, False)])
def test_any_other_process_and_any_image_without_tini_go_on(pid: int, has_init: bool) -> None:
    assert decide_command(STARTED, pid=pid, has_init=has_init) is None
