"""`jetmill webhook`: the commands of a person, against a dispatcher that works."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import pytest

from support.dispatch import Office, make_webhook
from support.nats import NatsServer
from support.receiver import Receiver, hang, reply
from support.wait import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def call(nats: NatsServer, office: Office):
    """Run a command; status, stdout and stderr."""

    async def call(*words: str) -> tuple[int, str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("JETMILL_", "NATS_"))}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jetmill",
            "webhook",
            *words,
            env=kept | {"JETMILL_NATS_URL": nats.url, "JETMILL_NAMESPACE": office.bus.subjects.namespace},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return call


async def test_webhooks_and_deliveries_are_listed_and_shown(office: Office, call) -> None:
    async with Receiver.serve(reply(500)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [status] = await office.ended()

        async def listed() -> Any:
            rows = json.loads((await call("list", "-o", "json"))[1])
            return rows if rows[0]["failed"] == 3 else None

        [row] = await eventually(listed)
        assert (row["name"], row["circuit"], row["answer"], row["url"]) == ("orders", "closed", 500, receiver.url)
        code, out, _ = await call("deliveries", "orders", "--state", "failed")
        assert (code, status.id in out, "order.paid" in out, "exhausted" in out) == (0, True, True, True)
        code, out, _ = await call("show", status.id)
        assert (code, out.count("it answered 500")) == (0, 3)
        assert "event    order.paid" in out
        code, _, err = await call("show", "nothing")
        assert (code, "there is no delivery nothing" in err) == (3, True)


async def test_a_test_event_is_sent_and_its_answer_shown(office: Office, call) -> None:
    async with Receiver.serve(reply(202, b"thanks")) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        code, out, _ = await call("test", "orders", "-o", "json")
        shown = json.loads(out)
        assert (code, shown["state"], shown["attempts"][0]["body"]) == (0, "succeeded", "thanks")
        receiver.answer = hang
        code, out, err = await call("test", "orders", "--wait", "0.2")
        assert (code, "no attempt yet" in out, "no attempt has ended yet" in err) == (0, True, True)
        assert (await call("test", "nobody"))[0] != 0


async def test_deliveries_are_sent_again_and_a_stretch_of_time_is_recovered(office: Office, call) -> None:
    async with Receiver.serve(reply(410)) as receiver:
        await office.declare("orders", make_webhook(receiver.url))
        await office.publish(amount=1)
        [status] = await office.ended()
        await eventually(lambda: any(hook.state and hook.state.disabled for hook in office.hooks.all()))
        await office.publish(amount=2)
        await eventually(lambda: len(office.router.recent) == 3)  # webhook.disabled is one, too
        receiver.answer = reply(200)
        assert (await call("enable", "orders"))[1] == "Webhook orders is sent to\n"
        assert (await call("enable", "orders"))[1] == "Webhook orders is sent to already\n"
        assert (await call("redeliver", status.id))[1] == f"{status.id}\n"
        await receiver.received(2)
        code, out, _ = await call("recover", "orders", "--since", "1h", "-o", "json")
        assert (code, json.loads(out)["created"]) == (0, 1)
        await receiver.received(3)
        code, _, err = await call("recover", "orders", "--since", "yesterday")
        assert (code, "--since" in err) == (2, True)
