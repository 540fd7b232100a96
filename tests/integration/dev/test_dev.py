"""`jetmill dev` from end to end: it runs jobs, survives what dies, follows what changes, and leaves nothing behind."""

from __future__ import annotations

import signal

import pytest

from jetmill import Client, ClientSettings, JobFailedError, Registry
from support.dev import declare, is_gone
from support.wait import PROCESS_SECONDS, eventually, soon

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@pytest.fixture
async def connect():
    clients: list[Client] = []

    async def connect(url: str) -> Client:
        clients.append(Client(ClientSettings(url=url), registry=Registry()))
        await clients[-1].connect()
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


async def test_a_job_runs_from_zero_workers_and_ctrl_c_leaves_nothing_behind(start, connect, folder):
    dev = await start()
    url = await dev.ready()
    assert f"export JETMILL_NATS_URL={url}" in (folder / ".jetmill" / "env").read_text()
    client = await connect(url)
    handle = await client.enqueue("greet", {"name": "Ada"})
    assert await handle.result(timeout=120) == "Hello, Ada!"
    assert len(dev.workers()) == 1
    await client.close()
    assert await dev.stop(signal.SIGINT) == 0
    await eventually(lambda: [child for child in dev.family if not is_gone(child)] == [])


async def test_a_dev_that_is_killed_leaves_no_server_and_no_workers_and_the_next_one_goes_on(start, connect, folder):
    (folder / "wait.yaml").write_text(declare("wait", "tasks:wait_for", "  scaling: {minReplicas: 1}\n"))
    (folder / "spin.yaml").write_text(declare("spin", "tasks:spin", "  worker: {executor: process}\n"))
    dev = await start()
    first = await dev.ready()
    client = await connect(first)
    gate = folder / "gate"
    running = await client.enqueue("wait", {"path": str(gate)})
    spinning = await client.enqueue("spin", {"path": str(gate)})
    delayed = await client.enqueue("greet", {"name": "later"}, delay=2)
    await eventually(lambda: is_running(client, running.id), seconds=PROCESS_SECONDS)
    await eventually((folder / "gate.spins").exists, seconds=120)
    dev.children()
    await client.close()
    dev.process.kill()
    await eventually(lambda: all(map(is_gone, dev.family)), what="its children to die")

    dev = await start()
    second = await dev.ready()
    assert second == first
    client = await connect(second)
    gate.write_text("")
    assert await client.result(running.id, timeout=120) == 1
    assert (await client.status(running.id)).crashes == 1
    assert await client.result(spinning.id, timeout=120) is True
    assert await client.result(delayed.id, timeout=120) == "Hello, later!"
    await client.close()
    await dev.stop()


async def is_running(client: Client, job_id: str) -> bool:
    return (await client.status(job_id)).state == "running"


async def test_a_second_dev_on_the_same_data_is_refused(start):
    first = await start()
    await first.ready()
    second = await start()
    assert await soon(second.process.wait(), seconds=PROCESS_SECONDS) == 2
    await eventually(lambda: second.find(rf"another jetmill dev \(process {first.process.pid}\) works on"))
    await first.stop()


async def test_a_worker_that_crashes_is_replaced_and_its_job_taken_over(start, connect, folder):
    (folder / "wait.yaml").write_text(declare("wait", "tasks:wait_for"))
    dev = await start()
    client = await connect(await dev.ready())
    handle = await client.enqueue("wait", {"path": str(folder / "gate")})
    await eventually(lambda: is_running(client, handle.id), seconds=PROCESS_SECONDS)
    (worker,) = dev.workers()
    worker.kill()
    await dev.says("worker wait/1 was ended by SIGKILL")
    (folder / "gate").write_text("")
    assert await handle.result(timeout=120) == 1
    assert (await handle.status()).crashes == 1
    await client.close()
    await dev.stop()


async def test_a_server_that_is_killed_comes_back_on_its_port_and_jobs_go_on(start, connect):
    dev = await start()
    client = await connect(await dev.ready())
    assert await (await client.enqueue("greet", {"name": "one"})).result(timeout=120) == "Hello, one!"
    server = dev.server()
    server.kill()
    await dev.says("nats-server ended with status -9")
    await eventually(lambda: is_gone(server))
    bus = await client.connect()
    await eventually(lambda: bus.link.connected)
    assert await (await client.enqueue("greet", {"name": "two"})).result(timeout=120) == "Hello, two!"
    await client.close()
    await dev.stop()


async def test_changed_code_reaches_the_workers_and_broken_code_does_not(start, connect, folder):
    dev = await start()
    client = await connect(await dev.ready())
    code = (folder / "tasks.py").read_text()
    assert await (await client.enqueue("greet", {"name": "Ada"})).result(timeout=120) == "Hello, Ada!"

    (folder / "tasks.py").write_text(code + "\nthis is no Python\n")
    await dev.says(r"greet.yaml:\d+: spec.handler: importing 'tasks' raised SyntaxError: .*; see tasks.py:\d+")
    await dev.says("Job greet goes on as before")
    assert await (await client.enqueue("greet", {"name": "Bob"})).result(timeout=120) == "Hello, Bob!"

    (folder / "tasks.py").write_text(code.replace("Hello", "Welcome"))
    await dev.says("the code changed; workers of greet are replaced")

    async def is_new() -> bool:
        return bool(await (await client.enqueue("greet", {"name": "Eve"})).result(timeout=120) == "Welcome, Eve!")

    await eventually(is_new, seconds=PROCESS_SECONDS)
    await client.close()
    await dev.stop()


async def test_changed_manifests_are_applied_and_faulty_ones_change_nothing(start, connect, folder):
    dev = await start()
    client = await connect(await dev.ready())
    manifest = folder / "greet.yaml"
    good = manifest.read_text()

    manifest.write_text(good.replace("leaseSeconds", "leaseSecond"))
    await dev.says(r"greet.yaml:6: spec.leaseSecond: unknown field; did you mean leaseSeconds\?")
    assert await (await client.enqueue("greet", {"name": "Ada"})).result(timeout=120) == "Hello, Ada!"

    (folder / "more.yaml").write_text(declare("more", "tasks:greet"))
    await dev.says("Job more declared")
    manifest.write_text(good + "  retry: {maxRetries: 0}\n")
    await dev.says("Job greet changed")
    settings = {one.job: one for one in await client.jobs()}
    assert settings["greet"].max_retries == 0
    assert settings["greet"].generation == 2
    with pytest.raises(JobFailedError):
        await (await client.enqueue("greet", {"nobody": 1})).result(timeout=120)

    manifest.unlink()
    await dev.says(r"Job greet deleted \(Retain: its jobs wait\)")
    assert await (await client.enqueue("more", {"name": "Eve"})).result(timeout=120) == "Hello, Eve!"
    await client.close()
    await dev.stop()


@pytest.mark.field("Job.spec.worker.from.name")
async def test_a_job_rides_on_the_workers_of_another_and_brings_them_from_zero(start, connect, folder):
    (folder / "rider.yaml").write_text(declare("rider", "tasks:wait_for", "  worker: {from: {name: greet}}\n"))
    (folder / "lost.yaml").write_text(declare("lost", "tasks:greet", "  worker: {from: {name: nobody}}\n"))
    (folder / "gate").write_text("")
    dev = await start()
    client = await connect(await dev.ready())
    await dev.says("Job lost: .*there is no Job nobody in this namespace")
    assert await (await client.enqueue("rider", {"path": str(folder / "gate")})).result(timeout=120) == 1
    assert await (await client.enqueue("greet", {"name": "Ada"})).result(timeout=120) == "Hello, Ada!"
    (worker,) = await client.workers()
    assert worker.jobs == ["greet", "rider"]
    assert worker.pod.startswith("greet-worker-")
    await client.close()
    await dev.stop()


@pytest.mark.field("Job.spec.suspend", "Job.spec.deletionPolicy")
async def test_a_suspended_job_waits_and_one_that_deletes_cancels_what_waits(start, connect, folder):
    manifest = folder / "greet.yaml"
    good = manifest.read_text()
    manifest.write_text(good + "  suspend: true\n")
    dev = await start()
    client = await connect(await dev.ready())
    handle = await client.enqueue("greet", {"name": "Ada"})
    manifest.write_text(good)
    await dev.says("Job greet changed")
    assert await handle.result(timeout=120) == "Hello, Ada!"
    manifest.write_text(good + "  suspend: true\n  deletionPolicy: Delete\n")
    await eventually(lambda: is_suspended(client), seconds=PROCESS_SECONDS)
    waiting = await client.enqueue("greet", {"name": "Bob"})
    manifest.unlink()
    await dev.says("Job greet deleted .Delete: its waiting jobs are cancelled")
    assert (await waiting.status()).state == "cancelled"
    assert await client.jobs() == []
    await client.close()
    await dev.stop()


async def is_suspended(client: Client) -> bool:
    (settings,) = await client.jobs()
    return settings.suspend


async def test_secrets_of_the_folder_are_variables_of_its_workers(start, connect, folder):
    (folder / "tasks.py").write_text(
        (folder / "tasks.py").read_text()
        + "\n@job\nasync def tell() -> str:\n    import os\n    return os.environ['A']\n"
    )
    variable = "  worker: {env: [{name: A, valueFrom: {secretKeyRef: {name: shop, key: token}}}]}\n"
    (folder / "tell.yaml").write_text(declare("tell", "tasks:tell", variable))
    dev = await start()
    await dev.says(r"tell.yaml:7: spec.worker.env\[0\].valueFrom: there is no Secret shop in this folder; ")
    client = await connect(await dev.ready())
    secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: shop}\nstringData: {token: %s}\n"
    (folder / "secret.yaml").write_text(secret % "one")
    await dev.says("Job tell declared")
    assert await (await client.enqueue("tell", {})).result(timeout=120) == "one"
    (folder / "secret.yaml").write_text(secret % "two")
    await dev.says("Secrets or ConfigMaps changed; workers of greet, tell are replaced")

    async def is_new() -> bool:
        return bool(await (await client.enqueue("tell", {})).result(timeout=120) == "two")

    await eventually(is_new, seconds=PROCESS_SECONDS)
    await client.close()
    await dev.stop()


NAP = "\n@job\nasync def nap() -> None:\n    await asyncio.sleep(0.3)\n"


@pytest.fixture
def nap(folder):
    """Declares a Job of one job at once in a worker."""

    def nap(scaling: str) -> None:
        (folder / "tasks.py").write_text((folder / "tasks.py").read_text() + NAP)
        more = f"  worker: {{concurrency: 1}}\n  scaling: {scaling}\n"
        (folder / "nap.yaml").write_text(declare("nap", "tasks:nap", more))

    return nap


@pytest.mark.field("Job.spec.worker.concurrency", "Job.spec.scaling.maxReplicas", "Job.spec.scaling.targetDrainSeconds")
async def test_workers_scale_with_the_backlog(start, connect, nap):
    nap("{maxReplicas: 2, targetDrainSeconds: 1}")
    dev = await start()
    client = await connect(await dev.ready())
    assert dev.workers() == []
    handles = await client.enqueue_many("nap", [{}] * 30)
    await eventually(lambda: len(dev.workers()) == 2, seconds=120)
    await client.wait_many([handle.id for handle in handles], timeout=120)
    await client.close()
    await dev.stop()


@pytest.mark.field("Job.spec.scaling.cooldownSeconds")
async def test_a_worker_goes_after_the_cooldown(start, connect, nap):
    nap("{cooldownSeconds: 1}")
    dev = await start()
    client = await connect(await dev.ready())
    await (await client.enqueue("nap", {})).result(timeout=120)
    await eventually(lambda: dev.workers() == [], seconds=120)
    assert not dev.find("was ended by|ended with status")
    await client.close()
    await dev.stop()


async def test_once_runs_what_is_queued_and_leaves(start, connect, folder):
    dev = await start()
    client = await connect(await dev.ready())
    later = await client.enqueue("greet", {"name": "Ada"}, delay=1)
    await client.close()
    await dev.stop()
    dev = await start("--once")
    assert await soon(dev.process.wait(), seconds=120) == 0
    assert dev.find("nothing is left to be run")
    dev = await start()
    client = await connect(await dev.ready())
    assert await client.result(later.id, timeout=120) == "Hello, Ada!"
    await client.close()
    await dev.stop()


async def test_jobs_in_hand_are_finished_before_dev_leaves_unless_it_is_hurried(start, connect, folder):
    (folder / "wait.yaml").write_text(declare("wait", "tasks:wait_for"))
    dev = await start()
    client = await connect(await dev.ready())
    handle = await client.enqueue("wait", {"path": str(folder / "gate")})
    await eventually(lambda: is_running(client, handle.id), seconds=PROCESS_SECONDS)
    dev.process.send_signal(signal.SIGINT)
    await dev.says("draining the workers")
    assert dev.process.returncode is None
    (folder / "gate").write_text("")
    assert await handle.result(timeout=120) == 1
    await client.close()
    assert await soon(dev.process.wait(), seconds=PROCESS_SECONDS) == 0

    (folder / "gate").unlink()
    dev = await start()
    client = await connect(await dev.ready())
    handle = await client.enqueue("wait", {"path": str(folder / "gate")})
    await eventually(lambda: is_running(client, handle.id), seconds=PROCESS_SECONDS)
    await client.close()
    assert dev.workers()
    dev.process.send_signal(signal.SIGINT)
    await dev.says("draining the workers")
    dev.process.send_signal(signal.SIGINT)
    assert await soon(dev.process.wait(), seconds=PROCESS_SECONDS) == 0
    await eventually(lambda: all(map(is_gone, dev.family)))
