"""A forwarded port that comes back: kubectl's own ends with the pod that it leads to."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

PAUSE_SECONDS = 0.5
"""Between two tries, while there is no pod to lead to."""


class Door:
    """Runs `kubectl port-forward …` until it is closed, again each time that it ends."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str]) -> None:
        self._command = list(command)
        self._environ = dict(environ)
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._run, name="door", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._open.wait(120):
            self.close()
            raise AssertionError(f"no port was forwarded: {' '.join(self._command)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forward no more."""
        with self._lock:
            self._closed.set()
            if self._process is not None:
                self._process.kill()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed.is_set():
                    return
                self._process = subprocess.Popen(
                    self._command,
                    env=self._environ,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            with self._process as process:
                assert process.stdout is not None
                for line in process.stdout:  # until it ends
                    if "Forwarding" in line:
                        self._open.set()
            self._closed.wait(PAUSE_SECONDS)
