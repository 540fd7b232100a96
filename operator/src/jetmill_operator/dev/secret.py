"""What of `jetmill dev` no other user of the machine may read: the token of its nats-server, and files that hold it.

Loopback is no border between users: without a token anybody on the machine could read payloads and enqueue jobs. The
token stays the same for a data folder, so that an address that was exported once works after a restart.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

_TOKEN = re.compile(r"[0-9a-f]{32}")


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, also if it was there with other rights."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123  of a descriptor
        os.fchmod(fd, 0o600)
        file.truncate()
        file.write(text)


def take_token(data: Path) -> str:
    """The token of a data folder, made at the first time."""
    path = data / "token"
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not _TOKEN.fullmatch(token):
        token = secrets.token_hex(16)
    write_private(path, f"{token}\n")
    return token
