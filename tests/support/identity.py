"""Who a test logs in as: certificates of a CA of its own, nkeys, and an operator's accounts with their JWTs."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nkeys  # type: ignore[import-untyped]
import pytest


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files: a CA, and what it signed for 127.0.0.1."""

    ca: Path
    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        """Make them with the openssl program; skips the test without."""
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        ca_key = folder / "ca.key"
        authority = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
        _openssl("-keyout", ca_key, "-out", made.ca, "-subj", "/CN=Jetmill test CA", *authority)
        server = ("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE")
        signed = ("-CA", made.ca, "-CAkey", ca_key)
        _openssl("-keyout", made.key, "-out", made.certificate, "-subj", "/CN=nats", *signed, *server)
        return made

    def config(self) -> str:
        """The block of nats-server's configuration."""
        return f'tls {{cert_file: "{self.certificate}", key_file: "{self.key}"}}'


def _openssl(*arguments: str | Path) -> None:
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("there is no openssl: on Debian, apt-get install openssl")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2")
    subprocess.run([program, "req", "-x509", *curve, *arguments], check=True, capture_output=True)


def make_nkey(prefix: int = nkeys.PREFIX_BYTE_USER) -> Any:
    """A fresh key pair."""
    return nkeys.from_seed(nkeys.encode_seed(secrets.token_bytes(32), prefix))


def public(pair: Any) -> str:
    """The public key, as configurations and JWTs have it."""
    return str(pair.public_key.decode())


class Operator:
    """An operator with one account, by which a server knows users that are in none of its files."""

    def __init__(self) -> None:
        self.key, self.account, self.system = (
            make_nkey(prefix)
            for prefix in (nkeys.PREFIX_BYTE_OPERATOR, nkeys.PREFIX_BYTE_ACCOUNT, nkeys.PREFIX_BYTE_ACCOUNT)
        )

    def config(self) -> str:
        """What the server has to be told."""
        accounts = {public(one): self._sign(self.key, one, _account(name)) for name, one in self._accounts()}
        preload = ", ".join(f"{key}: {token}" for key, token in accounts.items())
        operator = self._sign(self.key, self.key, {"name": "test", "nats": {"type": "operator", "version": 2}})
        return (
            f"operator: {operator}\nsystem_account: {public(self.system)}\n"
            f"resolver: MEMORY\nresolver_preload: {{{preload}}}\n"
        )

    def write_credentials(self, path: Path) -> Path:
        """A `.creds` file of a new user."""
        user = make_nkey()
        claims = {"name": "ada", "nats": {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}}
        token = self._sign(self.account, user, claims)
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
        )
        return path

    def _accounts(self) -> list[tuple[str, Any]]:
        return [("app", self.account), ("system", self.system)]

    @staticmethod
    def _sign(issuer: Any, subject: Any, claims: dict[str, Any]) -> str:
        head = {"typ": "JWT", "alg": "ed25519-nkey"}
        body = {
            **claims,
            "jti": secrets.token_hex(8),
            "iat": int(time.time()),
            "iss": public(issuer),
            "sub": public(subject),
        }
        text = ".".join(_encode(json.dumps(part).encode()) for part in (head, body))
        return f"{text}.{_encode(issuer.sign(text.encode()))}"


def _account(name: str) -> dict[str, Any]:
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    store = {} if name == "system" else dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)
    limits = {**unlimited, **store, "wildcards": True}
    return {"name": name, "nats": {"type": "account", "version": 2, "limits": limits}}


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
