"""Where handlers are found: modules that are imported, entry points, and `module:function` of a Job's manifest."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterable
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from jetmill.client.declaration import JobHandler, JobOptions
from jetmill.errors import ConfigError

ENTRY_POINTS = "jetmill.jobs"
"""A distribution may name modules here; `discover` imports them where it is asked for entry points."""
MAIN_ALIAS = "__mp_main__"
"""The name under which a child process loads the script that its parent runs as `__main__`."""


def discover(modules: Iterable[str], *, with_entry_points: bool = False) -> None:
    """Import modules, so that their `@job` declarations are made; ConfigError lists all that cannot be."""
    faults = []
    for name in modules:
        try:
            importlib.import_module(name.partition(":")[0])
        except Exception as err:  # noqa: BLE001 - an application's module may raise anything while it is imported
            faults.append(f"{name}: {type(err).__name__}: {err}")
    for entry in entry_points(group=ENTRY_POINTS) if with_entry_points else ():
        try:
            entry.load()
        except Exception as err:  # noqa: BLE001 - as above
            faults.append(f"{entry.name} = {entry.value}: {type(err).__name__}: {err}")
    if faults:
        raise ConfigError(
            f"cannot import {'; '.join(faults)}", cure="is it installed, and is the working directory right?"
        )


def load_handler(origin: str, *, job: str, main: ModuleType | None = None) -> JobHandler[..., Any]:
    """The handler at `module:function`, declared by `@job` or a plain function; ConfigError says what is missing."""
    module_name, parted, path = origin.partition(":")
    if not parted or not path:
        raise ConfigError(f"handler {origin!r} is no module:function")
    if module_name == "__main__" and main is not None:
        module = main
    else:
        try:
            module = importlib.import_module(module_name)
        except Exception as err:
            raise ConfigError(f"handler {origin!r}: {type(err).__name__}: {err}") from err
    found: Any = module
    for part in path.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise ConfigError(f"handler {origin!r}: {module_name} has no {path}")
    if isinstance(found, JobHandler):
        return found
    if not callable(found):
        raise ConfigError(f"handler {origin!r} cannot be called: it is a {type(found).__name__}")
    return JobHandler(found, name=job, options=JobOptions())


def check_importable(handler: JobHandler[..., Any]) -> None:
    """Raise ConfigError if a child process could not find the handler."""
    if "<locals>" in handler.origin or "<lambda>" in handler.origin:
        raise ConfigError(
            f"handler {handler.origin} cannot be found by a process of its own", cure="define it at the top of a module"
        )


def main_path() -> str | None:
    """The script that runs as `__main__`, if it is one."""
    main = sys.modules.get("__main__")
    if main is None or getattr(main, "__spec__", None) is not None:
        return None
    return getattr(main, "__file__", None)


def load_main(path: str) -> ModuleType:
    """Load the parent's script under another name, so that what it guards by `__name__` does not run."""
    spec = importlib.util.spec_from_file_location(MAIN_ALIAS, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[MAIN_ALIAS] = module
    spec.loader.exec_module(module)
    return module
