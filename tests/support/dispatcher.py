"""A dispatcher as a process."""

from __future__ import annotations

from typing import ClassVar

from support.process import PartProcess


class DispatcherProcess(PartProcess):
    """Serves the namespace `shop`."""

    name = "dispatcher"
    environ: ClassVar = {"JETMILL_WATCH_NAMESPACES": "shop"}
    hidden = ("JETMILL_", "KUBE")
