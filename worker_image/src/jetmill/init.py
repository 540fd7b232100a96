"""The command `jetmill`, also where it is the first process of a container.

Process 1 has duties that a Python program does not do. The kernel drops a signal that it has no handler for, so a
SIGTERM while modules are still being imported would be lost, and the pod would hang until its grace period is over. And
it inherits every orphan: what the program of a `command:` Job leaves behind stays a zombie unless process 1 reaps it.
So as process 1 `jetmill` hands over to tini, if the image has it (ours do), which starts it anew as its child. A pod
may thus say `command: [jetmill, worker]` of any image.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

TINI = "/usr/bin/tini"


def decide_command(arguments: Sequence[str], *, pid: int, has_init: bool) -> list[str] | None:
    """The command to become, `arguments` being how this process was started; None: go on as it is."""
    return [TINI, "--", *arguments] if pid == 1 and has_init else None


def main() -> None:
    """Run the command line; never returns."""
    command = decide_command([sys.executable, *sys.orig_argv[1:]], pid=os.getpid(), has_init=os.access(TINI, os.X_OK))
    if command is not None:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    from jetmill.cli.main import main as run

    run()
