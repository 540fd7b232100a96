"""Run as a program: import handlers and say what became of each, and when it is to be run by itself.

It stands in a process of its own because importing is running: what a module does while it is imported (exit, hang,
crash in C) must not end `jetmill dev`. One line of JSON goes in per handler, one comes out, at once, so that the
reader knows which import was under way if this process dies. What modules print goes to stderr.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import sys
import traceback
from typing import Any, TextIO

from jetmill.client.declaration import JobHandler

_IMPORTLIB = "importlib"


def main() -> None:
    """Read handlers, a JSON text on each line of stdin, until it ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path[:] = [entry for entry in sys.path if entry]
    for line in sys.stdin:
        _answer(out, _probe(json.loads(line)))


def _answer(out: TextIO, verdict: dict[str, Any]) -> None:
    out.write(json.dumps(verdict) + "\n")
    out.flush()


def _probe(handler: str) -> dict[str, Any]:
    """`what` is wrong and `where`; or the `schedule` that a handler says, and `where`."""
    module_name, _, names = handler.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except BaseException as err:  # noqa: BLE001  a module may raise anything, SystemExit too
        return {"what": _explain_import(err, module_name), "where": _find_place(err)}
    for name in names.split("."):
        known = [other for other in dir(found) if not other.startswith("_") and callable(getattr(found, other, None))]
        if not hasattr(found, name):
            return {"what": f"{module_name} has no {name!r}", "known": known}
        found = getattr(found, name)
    if not callable(found):
        return {"what": f"{handler} is no function but {type(found).__name__}"}
    if not isinstance(found, JobHandler) or found.declared.schedule is None:
        return {}
    code = getattr(inspect.unwrap(found.function), "__code__", None)
    where = "" if code is None else f"{code.co_filename}:{code.co_firstlineno}"
    return {"schedule": found.declared.schedule.spec, "where": where}


def _explain_import(err: BaseException, module_name: str) -> str:
    if isinstance(err, ModuleNotFoundError) and err.name and f"{module_name}.".startswith(f"{err.name}."):
        return f"no module {err.name!r}"
    text = traceback.format_exception_only(err)[-1].strip().partition("\n")[0]
    return f"importing {module_name!r} raised {text}"


def _find_place(err: BaseException) -> str:
    """The line of the user's code that the traceback ends in."""
    if isinstance(err, SyntaxError) and err.filename:
        return f"{err.filename}:{err.lineno}"
    frames = [frame for frame in traceback.extract_tb(err.__traceback__) if _IMPORTLIB not in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if len(frames) > 1 else ""


if __name__ == "__main__":
    main()
