"""What the command line's exit codes mean, and which error leads to which. Documented in `docs/cli.md`: API."""

from __future__ import annotations

from enum import IntEnum

from jetmill.errors import (
    BusError,
    ConfigError,
    InputError,
    JetmillError,
    JobFailedError,
    JobStateError,
    PermissionDeniedError,
)


class Exit(IntEnum):
    """How a command ended."""

    OK = 0
    NO = 1
    """It ran, and the answer is no: a job did not succeed, a violation was found, nothing explains a job."""
    USAGE = 2
    """What was given cannot be used: an option, a setting, a payload, an unknown Job."""
    STATE = 3
    """No such job, or its state does not allow it."""
    UNREACHABLE = 4
    """NATS cannot be reached, or refused."""
    TIMEOUT = 5
    """`--timeout` ran out while waiting; the job goes on."""
    INTERRUPTED = 130
    """Ctrl-C."""


def exit_of(error: BaseException) -> Exit:
    """The exit code for an error."""
    match error:
        case JobFailedError():
            return Exit.NO
        case JobStateError():
            return Exit.STATE
        case InputError() | ConfigError():
            return Exit.USAGE
        case PermissionDeniedError() | BusError():
            return Exit.UNREACHABLE
        case TimeoutError():
            return Exit.TIMEOUT
        case JetmillError():
            return Exit.NO
        case _:
            return Exit.INTERRUPTED
