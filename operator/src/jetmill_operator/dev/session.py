"""One run of `jetmill dev`: the server, the bus, the keeper, the workers and the watch over the folder, together.

```
 take the folder ─▶ read manifests ─▶ nats-server ─▶ queues ─▶ ready ─▶ … ─▶ drain workers ─▶ stop nats-server
                                                                 └─ on change: read, check, plan, apply, roll ─┘
```

What runs side by side are tasks: the first of them that ends or fails ends the run in order, workers first, the server
last. What a person does wrong (a manifest, a handler) is said and changes nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jetmill.bus.connect import BusOptions, connect
from jetmill.bus.ports import Bus
from jetmill.errors import BusError, ConfigError
from jetmill.ledger.keeper import Keeper
from jetmill_operator.dev.crew import Launch
from jetmill_operator.dev.fault import Fault
from jetmill_operator.dev.handler import refuse_missing
from jetmill_operator.dev.lock import take_folder
from jetmill_operator.dev.manifest import Declared, Manifests, decide_namespace, read_manifests
from jetmill_operator.dev.reconcile import apply_job, delete_job, plan_changes
from jetmill_operator.dev.scaling import decide_pause_seconds
from jetmill_operator.dev.screen import Screen
from jetmill_operator.dev.secret import write_private
from jetmill_operator.dev.server import DevServer
from jetmill_operator.dev.supervisor import ROUND_SECONDS, Supervisor
from jetmill_operator.dev.watch import Changes, watch

QUIET_ROUNDS = 3
"""With `once`: so many looks in a row must find nothing open."""


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What `jetmill dev` was asked for."""

    folder: Path
    """Where manifests and code are."""
    data: Path
    """Where the store, the log and the locks go."""
    port: int = 0
    """Of nats-server; 0: that of the last time, or a free one."""
    namespace: str | None = None
    """None: the one that the manifests agree on, else `default`."""
    once: bool = False
    """Leave when no job is left to be run."""
    grace_seconds: float = 30.0
    """How long jobs in hand may run on at the end."""


class Session:
    """The state of one run."""

    def __init__(self, options: DevOptions, screen: Screen) -> None:
        self.options = options
        self.namespace = "default"
        self._screen = screen
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._server = DevServer(options.data, port=options.port)
        self._in_force: dict[str, Declared] = {}
        self._said: set[str] = set()
        self._held: tuple[str, ...] = ()
        self._ready = False

    def stop(self) -> None:
        """End in order; a second time: at once."""
        if self._stop.is_set():
            self._hurry.set()
        self._stop.set()

    async def run(self) -> None:
        """Run until stopped; raise ConfigError for what makes it impossible to begin."""
        self.options.data.mkdir(parents=True, exist_ok=True)
        (self.options.data / ".gitignore").write_text("*\n")
        lock = take_folder(self.options.data)
        try:
            with self._signals():
                await self._serve()
        finally:
            lock.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    async def _serve(self) -> None:
        found = read_manifests(self.options.folder)
        self.namespace = decide_namespace(found, asked=self.options.namespace)
        manifests = await self._read()
        try:
            await self._server.start()
            bus = await connect(
                BusOptions(url=self._server.url, namespace=self.namespace, name="jetmill dev"),
            )
            try:
                await self._work(bus, manifests)
            finally:
                await bus.link.close()
        finally:
            await self._server.stop()

    async def _work(self, bus: Bus, manifests: Manifests) -> None:
        launch = Launch(self.options.folder, self._server.url, self.namespace)
        supervisor = Supervisor(bus, launch, self._screen)
        try:
            await bus.admin.apply_namespace()
            await self._apply(bus, supervisor, manifests)
            self._say_ready()
            await _run_until_first_ends(
                Keeper(bus).run(),
                supervisor.run(),
                self._follow(bus, supervisor),
                self._guard(),
                self._leave_when_done(bus) if self.options.once else self._stop.wait(),
                self._stop.wait(),
            )
        finally:
            if any(crew.workers for crew in supervisor.crews.values()):
                self._screen.say("draining the workers; Ctrl-C again stops them at once")
            await supervisor.stop(grace_seconds=self.options.grace_seconds, hurry=self._hurry)

    async def _read(self) -> Manifests:
        """Read the folder, and say what is new of what is wrong with it."""
        folder = self.options.folder
        manifests = read_manifests(folder, namespace=self.namespace)
        await refuse_missing(manifests, folder)
        said, self._said = self._said, {str(one) for one in (*manifests.faults, *manifests.notes)}
        for one in (*sorted(manifests.faults), *sorted(manifests.notes)):
            if str(one) not in said:
                self._screen.say(str(one), alarm=isinstance(one, Fault))
        return manifests

    async def _apply(self, bus: Bus, supervisor: Supervisor, manifests: Manifests) -> list[str]:
        """Bring what is in force in line with what is declared; the names of the Jobs that were."""
        plan = plan_changes(self._in_force, manifests)
        for declared in plan.apply:
            job = declared.job
            await apply_job(bus, job)
            replaced = supervisor.apply(job)
            if job.name in self._in_force:
                self._screen.say(f"Job {job.name} changed" + ("; its workers are replaced" if replaced else ""))
            elif self._ready:
                self._screen.say(f"Job {job.name} declared")
            self._in_force[job.name] = declared
        for job in plan.remove:
            await supervisor.remove(job.name)
            cancelled = await delete_job(bus, job)
            what = "its jobs wait" if job.spec.deletion_policy == "Retain" else f"{cancelled} waiting jobs cancelled"
            self._screen.say(f"Job {job.name} deleted ({job.spec.deletion_policy}: {what})")
            del self._in_force[job.name]
        for name in set(plan.held) - set(self._held):
            self._screen.say(f"Job {name} goes on as before, until its declaration can be used", alarm=True)
        self._held = plan.held
        return [declared.job.name for declared in plan.apply]

    async def _follow(self, bus: Bus, supervisor: Supervisor) -> None:
        """Obey what changes in the folder."""
        changes = watch(self.options.folder, stop=self._stop)
        async with contextlib.aclosing(changes):
            async for change in changes:
                with self._tolerate():
                    await self._obey(change, bus, supervisor)

    async def _obey(self, change: Changes, bus: Bus, supervisor: Supervisor) -> None:
        manifests = await self._read()
        applied = await self._apply(bus, supervisor, manifests)
        if change.code:
            sound = [name for name in manifests.jobs if name in supervisor.crews and name not in applied]
            for name in sound:
                supervisor.roll(name)
            if sound:
                self._screen.say(f"the code changed; workers of {', '.join(sound)} are replaced")

    @contextlib.contextmanager
    def _tolerate(self) -> Iterator[None]:
        """NATS being away, or the folder, is said; the next change is another chance."""
        try:
            yield
        except (BusError, OSError) as err:
            self._screen.say(f"the change could not be applied: {err}; save again to try again", alarm=True)

    async def _guard(self) -> None:
        """Start the server again if it ends by itself."""
        ended = 0
        while True:
            status = await self._server.wait()
            ended += 1
            pause = decide_pause_seconds(ended)
            self._screen.say(f"nats-server ended with status {status}; again in {pause:g} s", alarm=True)
            await asyncio.sleep(pause)
            await self._server.start()

    async def _leave_when_done(self, bus: Bus) -> None:
        quiet = 0
        while quiet < QUIET_ROUNDS:
            await asyncio.sleep(ROUND_SECONDS)
            quiet = quiet + 1 if await self._is_done(bus) else 0
        self._screen.say("nothing is left to be run")

    async def _is_done(self, bus: Bus) -> bool:
        for name, declared in self._in_force.items():
            if declared.job.spec.suspend:
                continue
            try:
                depth = await bus.queue.depth(name)
            except BusError:
                return False
            if depth.ready or depth.in_flight or depth.delayed:
                return False
        return True

    def _say_ready(self) -> None:
        """Say where the server is and what to type next; the same goes into a file for `. FILE`."""
        variables = {"JETMILL_NATS_URL": self._server.url}
        if self.namespace != "default":
            variables["JETMILL_NAMESPACE"] = self.namespace
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        write_private(self.options.data / "env", "\n".join(lines) + "\n")
        names = list(self._in_force)
        self._screen.say(f"ready {self._server.url} (namespace {self.namespace}, Jobs: {', '.join(names) or 'none'})")
        shown = _find_program()
        example = names[0] if names else "NAME"
        self._ready = True
        self._screen.say("next, in another terminal:")
        for line in (*lines, f"{shown} job run {example} --payload '{{…}}' --wait", f"{shown} stats"):
            self._screen.say(f"  {line}")


async def _run_until_first_ends(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run them side by side until one ends; cancel the others; raise what that one raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    for task in done:
        task.result()


def _find_program() -> str:
    """How the command line is called from here."""
    program = Path(sys.executable).with_name("jetmill")
    if str(program.parent) in os.environ.get("PATH", "").split(os.pathsep):
        return program.name
    return str(program.relative_to(Path.cwd()) if program.is_relative_to(Path.cwd()) else program)


async def run_dev(options: DevOptions, screen: Screen) -> None:
    """Run `jetmill dev` until it is stopped; raise ConfigError with everything that keeps it from beginning."""
    if not options.folder.is_dir():
        raise ConfigError(f"{options.folder} is no folder", cure="name the one that holds your manifests and code")
    await Session(options, screen).run()
