"""One run of `jetmill dev`: what an operator does in a cluster, on a cluster in memory, with its workers as processes.

```
 take the folder ─▶ read manifests ─▶ nats-server ─▶ objects ─▶ reconciled ─▶ ready ─▶ … ─▶ drain ─▶ stop nats-server
                                                        ▲                              │
                                                        └── read, check, apply, roll ◀─┘ on change
```

Reconcilers, autoscaler and keepers are those of the operator; the folder stands for `kubectl apply`, the runner for the
cluster's controllers and nodes. What runs side by side are tasks: the first of them that ends or fails ends the run in
order, workers first, the server last. What a person does wrong (a manifest, a handler) is said and changes nothing
else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from jetmill.bus.connect import BusOptions, connect_trunk
from jetmill.bus.ports import Bus, Trunk
from jetmill.errors import BusError, ConfigError
from jetmill_operator.cluster.local import LocalCluster
from jetmill_operator.cluster.ports import (
    BUDGET,
    DEPLOYMENT,
    JOB,
    POD,
    SCHEDULED_JOB,
    SERVICE_ACCOUNT,
    WEBHOOK,
    Body,
    EventType,
    Kind,
)
from jetmill_operator.dev.dispatcher import open_dev_branches
from jetmill_operator.dev.folder import Folder
from jetmill_operator.dev.lock import take_folder
from jetmill_operator.dev.manifest import Manifests, decide_namespace, read_manifests
from jetmill_operator.dev.process import decide_pause_seconds
from jetmill_operator.dev.report import Reporter
from jetmill_operator.dev.runner import Launch, Runner
from jetmill_operator.dev.screen import Screen
from jetmill_operator.dev.secret import write_private
from jetmill_operator.dev.server import DevServer
from jetmill_operator.dev.watch import Changes, Stamps, take_stamps, watch
from jetmill_operator.dispatch.branch import Branches
from jetmill_operator.interrupt import heed_signals
from jetmill_operator.reconcile.bus import Buses
from jetmill_operator.reconcile.keeper import Keepers
from jetmill_operator.reconcile.metric import Metrics
from jetmill_operator.reconcile.orphan import Orphans
from jetmill_operator.reconcile.race import run_until_first_ends
from jetmill_operator.reconcile.scaler import run_scaler
from jetmill_operator.reconcile.team import Team
from jetmill_operator.resources.deployment import WorkerLink

ROUND_SECONDS = 0.5
WATCHED = (JOB, SCHEDULED_JOB, WEBHOOK, DEPLOYMENT, POD, SERVICE_ACCOUNT, BUDGET)
"""What an operator watches."""
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
    gateway_port: int | None = None
    """Of the gateway; None: the usual one or, if that is taken, a free one."""


@dataclass(frozen=True, slots=True)
class _World:
    """What is there while the server runs."""

    trunk: Trunk
    bus: Bus
    cluster: LocalCluster
    team: Team
    folder: Folder
    runner: Runner
    reporter: Reporter


class Session:
    """The state of one run."""

    def __init__(self, options: DevOptions, screen: Screen) -> None:
        self.options = options
        self.namespace = "default"
        self.gateway_url = ""
        self._screen = screen
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._server = DevServer(options.data, port=options.port)

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
            with heed_signals(self.stop, signal.SIGHUP):
                await self._serve()
        finally:
            lock.close()

    async def _serve(self) -> None:
        since = await asyncio.to_thread(take_stamps, self.options.folder)
        found = read_manifests(self.options.folder)
        self.namespace = decide_namespace(found, asked=self.options.namespace)
        cluster = LocalCluster(new_uid=derive_uid)
        folder = Folder(self.options.folder, cluster, self._screen, namespace=self.namespace, environ=os.environ)
        manifests = await folder.read()
        try:
            await self._server.start()
            trunk = await connect_trunk(BusOptions(url=self._server.url, name="jetmill dev"))
            try:
                await self._work(self._build_world(cluster, folder, trunk), manifests, since)
            finally:
                await trunk.close()
        finally:
            await self._server.stop()

    def _build_world(self, cluster: LocalCluster, folder: Folder, trunk: Trunk) -> _World:
        buses = Buses(trunk)
        team = Team(cluster, buses, link=WorkerLink(self._server.url), metrics=Metrics(), instance="jetmill-dev")
        bus = buses.of(self.namespace)
        launch = Launch(self.options.folder, self._server.url, os.environ, folder.sources)
        runner, reporter = Runner(cluster, bus, launch, self._screen), Reporter(self._screen)

        def notice(kind: Kind, event: EventType, body: Body) -> None:
            if kind in WATCHED:
                team.notice(kind, event, body)

        for listener in (notice, runner.notice, reporter.notice, folder.notice):
            cluster.watch(listener)
        return _World(trunk, bus, cluster, team, folder, runner, reporter)

    async def _work(self, world: _World, manifests: Manifests, since: tuple[Stamps, Stamps]) -> None:
        try:
            await world.bus.admin.apply_namespace()
            async with self._open_gateway(world), self._open_branches(world) as branches:
                await self._apply(world, manifests)
                await world.team.begin()
                orphans = Orphans(
                    world.cluster, world.team.parts.buses, lambda: {self.namespace}, identity="jetmill-dev"
                )
                await orphans.look(self.namespace)  # what the last run planned: this one plans anew
                if not manifests.faults:  # a Webhook may stand in a file that cannot be read now
                    await orphans.look_at_webhooks(self.namespace)
                await run_until_first_ends(
                    world.team.queue.run(),
                    run_scaler(world.team.parts),
                    Keepers(world.team.parts.buses.of, lambda: {self.namespace}).run(),
                    world.runner.run(),
                    branches.run(),
                    self._follow(world, since),
                    self._guard(world.team),
                    self._stop.wait(),
                )
        finally:
            if world.runner.busy:
                self._screen.say("draining the workers; Ctrl-C again stops them at once")
            await world.team.queue.stop(grace_seconds=1.0)
            await world.runner.stop(grace_seconds=self.options.grace_seconds, hurry=self._hurry)

    @contextlib.asynccontextmanager
    async def _open_gateway(self, world: _World) -> AsyncIterator[None]:
        """Serve lists and single jobs over HTTP meanwhile; with `once` nobody would look."""
        if self.options.once:
            yield
            return
        from jetmill_operator.dev.gateway import open_dev_gateway

        opening = open_dev_gateway(
            world.trunk,
            world.cluster,
            url=self._server.url,
            namespace=self.namespace,
            find_file=world.folder.find_file,
            port=self.options.gateway_port,
        )
        async with opening as self.gateway_url:
            yield

    def _open_branches(self, world: _World) -> AbstractAsyncContextManager[Branches]:
        return open_dev_branches(world.trunk, world.folder.sources, url=self._server.url, namespace=self.namespace)

    async def _apply(self, world: _World, manifests: Manifests, *, code: bool = False) -> None:
        for name in manifests.jobs:
            self._screen.reserve(name)
        if self.options.once:  # a calendar never ends: there would always be something left to be run
            others = {key: one for key, one in manifests.objects.items() if one.kind != SCHEDULED_JOB}
            manifests = replace(manifests, objects=others)
        await world.folder.apply(manifests, code=code)

    async def _follow(self, world: _World, since: tuple[Stamps, Stamps]) -> None:
        """Say that all is ready, then obey what changes in the folder; with `once` until nothing is left."""
        await world.reporter.wait_for(world.folder.declared)
        self._say_ready(world)
        changes = watch(self.options.folder, since=since, stop=self._stop)
        done = asyncio.create_task(self._leave_when_done(world)) if self.options.once else None
        try:
            async with contextlib.aclosing(changes):
                async for change in changes:
                    with self._tolerate():
                        await self._obey(change, world)
        finally:
            if done is not None:
                done.cancel()

    async def _obey(self, change: Changes, world: _World) -> None:
        await self._apply(world, await world.folder.read(), code=change.code)

    @contextlib.contextmanager
    def _tolerate(self) -> Iterator[None]:
        """A folder that cannot be read is said; the next change is another chance."""
        try:
            yield
        except OSError as err:
            self._screen.say(f"the change could not be applied: {err}; save again to try again", alarm=True)

    async def _guard(self, team: Team) -> None:
        """Start the server again if it ends by itself."""
        ended = 0
        while True:
            status = await self._server.wait()
            ended += 1
            pause = decide_pause_seconds(ended)
            self._screen.say(f"nats-server ended with status {status}; again in {pause:g} s", alarm=True)
            await asyncio.sleep(pause)
            await self._server.start()
            team.notice_all()

    async def _leave_when_done(self, world: _World) -> None:
        quiet = 0
        while quiet < QUIET_ROUNDS:
            await asyncio.sleep(ROUND_SECONDS)
            quiet = quiet + 1 if await self._is_done(world) else 0
        self._screen.say("nothing is left to be run")
        self._stop.set()

    async def _is_done(self, world: _World) -> bool:
        for name, declared in world.folder.declared.items():
            if declared.job.spec.suspend:
                continue
            try:
                depth = await world.bus.queue.depth(name)
            except BusError:
                return False
            if depth.ready or depth.in_flight or depth.delayed:
                return False
        return True

    def _say_ready(self, world: _World) -> None:
        """Say where the server is and what to type next; the same goes into a file for `. FILE`."""
        variables = {"JETMILL_NATS_URL": self._server.url}
        if self.namespace != "default":
            variables["JETMILL_NAMESPACE"] = self.namespace
        if self.gateway_url:
            variables["JETMILL_GATEWAY_URL"] = self.gateway_url
        lines = [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
        write_private(self.options.data / "env", "\n".join(lines) + "\n")
        names = list(world.folder.declared)
        self._screen.say(f"ready {self._server.url} (namespace {self.namespace}, Jobs: {', '.join(names) or 'none'})")
        if self.gateway_url:
            self._screen.say(f"gateway {self.gateway_url} (what it can do: {self.gateway_url}/api/v1/docs)")
        shown = _find_program()
        example = names[0] if names else "NAME"
        world.reporter.begun = True
        self._screen.say("next, in another terminal:")
        for line in (*lines, f"{shown} job run {example} --payload '{{…}}' --wait", f"{shown} stats"):
            self._screen.say(f"  {line}")


def derive_uid(kind: Kind, namespace: str, name: str) -> str:
    """The uid of a new object: a Job's and a Webhook's is the same in each run, for settings and queue outlive it."""
    if kind not in (JOB, WEBHOOK):
        return str(uuid.uuid4())
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.{namespace}.{kind.plural}.jetmill.dev"))


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
    structlog.configure(
        processors=[screen.say_event], wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING)
    )
    await Session(options, screen).run()
