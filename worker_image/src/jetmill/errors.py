"""Every error that Jetmill raises, in one tree.

Adapters translate what libraries raise at their edge (`raise … from err`), so that code above a port meets
only these. Each class answers `retryable` (may the same call succeed later, unchanged?) and carries a cure.

```
JetmillError
├── ConfigError              a setting is missing or wrong; nothing was connected
├── InputError               what the caller passed in cannot be accepted
│   ├── InvalidNameError     a name that can be no subject token
│   ├── InvalidPayloadError  a payload that does not fit its handler, schema or JSON
│   ├── PayloadTooLargeError over the Job's payload.maxBytes
│   ├── UnknownJobError      no Job of that name is declared
│   └── UnknownScheduleError no ScheduledJob of that name is planned
├── CodecError               bytes that are no message of ours
├── JobStateError            the job's state does not allow it
│   ├── JobNotFoundError     no chain in the ledger
│   └── JobFailedError       a result was asked of a job that ended otherwise
└── BusError                 NATS, or the way to it
    ├── RefusedError         a compare-and-set lost (10071)
    ├── NoAnswerError        nobody knows whether it happened
    │   └── DisconnectedError  it was not even sent
    ├── ObstacleError        a stream is in the way that only a person may remove
    ├── PermissionDeniedError  the subject is not for these credentials
    └── NotFoundError        no such stream, consumer, key or message
```
"""

from __future__ import annotations


class JetmillError(Exception):
    """The root; `cure` says in a sentence what to do."""

    retryable = False

    def __init__(self, message: str, *, cure: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message} ({self.cure})" if self.cure else self.message


class ConfigError(JetmillError):
    """Settings cannot be used; the message lists every fault, not just the first."""


class InputError(JetmillError):
    """What was passed in cannot be accepted; `field` is the path of the offending part."""

    def __init__(self, message: str, *, field: str = "", cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.field = field


class InvalidNameError(InputError):
    """A name that would break a subject."""


class InvalidPayloadError(InputError):
    """A payload that its handler, its schema or JSON itself refuses."""


class PayloadTooLargeError(InputError):
    """A payload over the Job's `payload.maxBytes`."""


class UnknownJobError(InputError):
    """The Job is not declared in this namespace."""


class UnknownScheduleError(InputError):
    """No ScheduledJob of that name is planned in this namespace."""


class CodecError(JetmillError):
    """Bytes that cannot be read as a message of ours: too big, not JSON, the wrong shape, an unknown version.

    `seq` is the message's sequence in the ledger, where it was read there: who follows the ledger goes on behind it.
    """

    def __init__(self, message: str, *, cure: str = "", seq: int = 0) -> None:
        super().__init__(message, cure=cure)
        self.seq = seq


class JobStateError(JetmillError):
    """The job is in a state that does not allow the step."""


class JobNotFoundError(JobStateError):
    """No such job in the ledger."""


class JobFailedError(JobStateError):
    """The job has no result, for it ended otherwise; `state` and `reason` say how."""

    def __init__(self, message: str, *, state: str, reason: str | None = None, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.state = state
        self.reason = reason


class BusError(JetmillError):
    """NATS said no, or could not be asked; `code` is the JetStream error code, 0 where there is none."""

    retryable = True

    def __init__(self, message: str, *, code: int = 0, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.code = code


class RefusedError(BusError):
    """A compare-and-set lost: the record (or settings) that it follows is not the last one any more."""

    retryable = False


class NoAnswerError(BusError):
    """The operation may have happened or not; read before you decide."""


class DisconnectedError(NoAnswerError):
    """There is no connection now; nothing was sent."""


class ObstacleError(BusError):
    """A stream has our name or our subjects and is not ours, or cannot become what it should; nothing was changed."""

    retryable = False


class PermissionDeniedError(BusError):
    """The credentials do not allow `subject`."""

    retryable = False

    def __init__(self, message: str, *, subject: str, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.subject = subject


class NotFoundError(BusError):
    """No such stream, consumer, key, object or message."""

    retryable = False
