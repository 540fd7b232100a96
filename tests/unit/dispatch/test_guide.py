"""What docs/webhooks.md and docs/logging.md say is so: whoever reads only them verifies a signature."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from jetmill_operator.dispatch.log import EVENTS
from jetmill_operator.dispatch.settings import _VARIABLES
from jetmill_operator.dispatch.signature import parse_secrets, sign
from jetmill_operator.policy.delivery import STANDARD

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/webhooks.md").read_text()
SECRET = "whsec_" + base64.b64encode(bytes(range(200, 232))).decode()
BODY = '{"type":"order.paid","data":{"name":"Zoë"}}'.encode()
MINE = ("branch", "command", "delivery", "desk", "hook", "process", "pursuit", "router")
CALL = re.compile(r"\blog\.(?:debug|info|warning|error|exception)\(\s*\"([a-z_]+)\"")


def headers_of(body: bytes, *, timestamp: int) -> dict[str, str]:
    return sign(parse_secrets(SECRET.encode()), body, message_id="d1", timestamp=timestamp, way="standard")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)


def test_the_python_of_the_guide_verifies_what_is_sent_and_nothing_else() -> None:
    found: dict[str, Any] = {}
    [code] = [block for block in blocks("python") if "def verify" in block]
    exec(code, found)
    now = int(time.time())
    found["verify"](SECRET, headers_of(BODY, timestamp=now), BODY)
    for headers, body in (
        (headers_of(BODY, timestamp=now - 600), BODY),
        (headers_of(BODY, timestamp=now), BODY + b" "),
        (headers_of(BODY, timestamp=now) | {"webhook-id": "d2"}, BODY),
        (headers_of(BODY, timestamp=now) | {"webhook-signature": "v1,ü"}, BODY),
        (headers_of(BODY, timestamp=now) | {"webhook-timestamp": "soon"}, BODY),
        ({}, BODY),
    ):
        with pytest.raises(ValueError, match=r"signed by somebody else|too old"):
            found["verify"](SECRET, headers, body)
    text = "a key that is a text"
    headers = sign(parse_secrets(text.encode()), BODY, message_id="d1", timestamp=now, way="standard")
    found["verify"](text, headers, BODY)


def test_the_shell_of_the_guide_makes_the_same_signature(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl")
    [script] = blocks("bash")
    (tmp_path / "body.json").write_bytes(BODY)
    headers = headers_of(BODY, timestamp=1_700_000_000)
    environ = {"SECRET": SECRET, "WEBHOOK_ID": "d1", "WEBHOOK_TIMESTAMP": "1700000000", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert f"v1,{done.stdout.strip()}" == headers["webhook-signature"]


def test_the_guide_names_the_schedule_and_every_setting() -> None:
    assert "after 5 s, 5 min, 30 min, 2, 5, 10, 14, 20 and 24 h" in GUIDE
    assert [seconds / 3_600 for seconds in STANDARD[3:]] == [2, 5, 10, 14, 20, 24]
    assert [name for name, _, _ in _VARIABLES.values() if name not in GUIDE] == []


def test_every_event_that_is_logged_stands_in_the_table() -> None:
    source = ROOT / "operator/src/jetmill_operator/dispatch"
    logged = {name for one in MINE for name in CALL.findall((source / f"{one}.py").read_text())}
    assert logged == EVENTS.keys()
    page = (ROOT / "docs/logging.md").read_text()
    assert [name for name, said in EVENTS.items() if f"| `{name}` | {said} |" not in page] == []
