"""Run as a program: become another program that cannot outlive the one that started it.

`tether.py SIGNAL PARENT PROGRAM ARGUMENT…` asks for SIGNAL at the death of process PARENT, however that dies, and then
becomes PROGRAM (same process id). On Linux the kernel is asked (PR_SET_PDEATHSIG); elsewhere a small process waits for
the end of a pipe that PARENT holds open as our stdin. A program of its own instead of a `preexec_fn`, which Python
calls unsafe in a process that has threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def build_command(command: list[str], *, sign: signal.Signals) -> list[str]:
    """Build the command that runs `command` tethered to this process; give it a pipe as stdin and keep that open."""
    # -I and -S keep the detour short: nothing but this file is wanted from that interpreter.
    return [sys.executable, "-I", "-S", __file__, str(int(sign)), str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    """Tie, then become the program."""
    sign, parent, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        _ask_kernel(sign)
    else:
        _watch_pipe(sign)
    if os.getppid() != parent:  # it died before we asked
        os._exit(128 + sign)
    os.execvp(command[0], command)  # noqa: S606  the program is what dev starts


def _ask_kernel(sign: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, sign, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def _watch_pipe(sign: int) -> None:
    """Leave a process behind that ends us when stdin ends; it looks first whether we are still its parent."""
    program = os.getpid()
    if os.fork():
        return
    os.setsid()
    while os.read(0, 4096):
        pass
    if os.getppid() == program:
        os.kill(program, sign)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
