"""The only place that knows every class: puts an instance together, runs it, reloads it, stops it."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from revsyncd import __version__
from revsyncd.adapters import memory, outbox
from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.ledger import Ledger, Request
from revsyncd.adapters.log import configure, get_logger
from revsyncd.adapters.revenue_api import RevenueApi
from revsyncd.adapters.systemd import Notifier
from revsyncd.adapters.watcher import watch
from revsyncd.config import Config, load
from revsyncd.core.errors import ConfigError, LedgerBroken, NoSpace, RefusedToStart
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import Conditions
from revsyncd.pipelines.desk import Desk
from revsyncd.pipelines.files import Files, off_loop
from revsyncd.pipelines.filing import Filing
from revsyncd.pipelines.following import Following
from revsyncd.pipelines.gl_desk import GlDesk
from revsyncd.pipelines.inbound import Inbound
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.looking import Looking
from revsyncd.pipelines.mappings import Mappings
from revsyncd.pipelines.outbound import Outbound
from revsyncd.pipelines.pulse import EVERY, Pulse
from revsyncd.pipelines.recovery import recover
from revsyncd.pipelines.register import Register
from revsyncd.pipelines.sending import Phase, Sending
from revsyncd.pipelines.stage_errors import StageErrors
from revsyncd.pipelines.status_files import StatusFiles
from revsyncd.pipelines.tenant_gate import TenantGate
from revsyncd.pipelines.vitals import Listener, MakeListener, Vitals
from revsyncd.supervisor import Service, ServiceGivenUp, Supervisor
from revsyncd.tenant_link import TenantLink, open_tenant, settings

__all__ = ["carry_out", "open_tenant", "run_daemon"]

log = get_logger()

EXIT_STOPPED, EXIT_FATAL = 0, 1
# What a running instance can't change: its tree, its ledger, and whom its identities are about.
FIXED = ("root", "state_dir")
# While a stop waits for an answer, the service manager is asked this often for more time than till the next asking.
ASK_EVERY, ASK_FOR = 10.0, 60.0  # seconds


@asynccontextmanager
async def instance_of(config: Config, ledger: Ledger, link: TenantLink) -> AsyncIterator[Instance]:
    """An instance on an open ledger; its conditions and drops are not loaded yet."""
    clock = SystemClock()
    register = Register(ledger, order_of(config))
    conditions = Conditions(ledger, clock)
    gate = TenantGate(link, conditions, clock, register.changed)
    yield Instance(
        config=config,
        clock=clock,
        ledger=ledger,
        register=register,
        conditions=conditions,
        tenant=link,
        gate=gate,
        mappings=Mappings(ledger, clock, link, gate),
        files=Files(config.state_dir, ProcessChecker()),
        journal=link,
    )


async def carry_out(config: Config, ledger: Ledger, request: Request) -> bool:
    """Carry out a person's request while no daemon runs; drops that get an ending are filed."""
    async with (
        TenantLink.to(config, SystemClock()) as link,
        instance_of(config, ledger, link) as it,
    ):
        concluding = Concluding(it)
        await recover(it, concluding)
        batches = GlDesk(it, Outbound(it), at_once=True)
        done = await Desk(it, concluding, Sending(it, concluding), batches).answer(request)
        filing = Filing(it)
        for drop in list(it.register):
            if drop.to_be_moved:
                await filing.file(drop.drop)
        await StatusFiles(it).refresh()
        return done


async def run_daemon(path: Path, make_listener: MakeListener) -> int:
    """Run until asked to stop; returns the exit code. Raises ConfigError, RefusedToStart.

    `make_listener` is called where `[http]` is configured, and not before.
    """
    memory.one_heap()
    memory.set_apart_what_stays()
    # First of all: who asks to stop while the ledger is opened is heard as soon as there is order.
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
        config = load(path)
        configure(config.log.level, config.log.format)
        clock = SystemClock()
        log.info("daemon.started", version=__version__, config=str(path), root=str(config.root))
        with Ledger.open(config.root, config.state_dir, clock.now) as ledger:
            lay_out_outbox(config)
            async with (
                TenantLink.to(config, clock) as link,
                instance_of(config, ledger, link) as it,
            ):
                with closing(Daemon(it, link, path, make_listener)) as daemon:
                    return await daemon.run(signals)


class Daemon:
    """The running instance: its services, its signals, its two stages of stopping."""

    def __init__(
        self, instance: Instance, link: TenantLink, path: Path, make_listener: MakeListener
    ) -> None:
        """Wire the services of an instance."""
        self._instance = instance
        self._link = link
        self._path = path
        self._notifier = Notifier.from_environment()
        self.concluding = Concluding(instance)
        self._sending = Sending(instance, self.concluding)
        self._filing = Filing(instance)
        self._stage_errors = StageErrors(instance, self._filing)
        self._filing.done = self._stage_errors.wake
        self._outbound = Outbound(instance)
        self._inbound = Inbound(instance, self.concluding, self._sending, self._filing)
        self._supervisor = Supervisor(instance.conditions, instance.clock)
        self._status_files = StatusFiles(instance)
        self._lookers: dict[str, Looking] = {}
        self._stop_asked = 0
        self._make_listener = make_listener
        self._listener: Listener | None = None
        self._vitals = Vitals(
            instance,
            Pulse(instance, lambda: self._inbound.rounds),
            uploads_in_flight=lambda: len(self._sending.inflight),
            token_expires=lambda: link.token_expires,
            services=lambda: list(self._supervisor.services),
            first_seen=self._status_files.first_seen,
        )
        self._have_listener()

    def close(self) -> None:
        """Let nobody be told any more."""
        if self._listener is not None:
            self._listener.close()

    async def run(self, signals: AsyncIterator[signal.Signals]) -> int:
        """Recover, run the services, stop in stages; returns the exit code."""
        try:
            await self._serve(signals)
        except BaseExceptionGroup as group:
            fatal = group.subgroup((LedgerBroken, ServiceGivenUp))
            if fatal is None:
                raise
            return _fatal(fatal)
        log.info("daemon.stopped")
        return EXIT_STOPPED

    async def _serve(self, signals: AsyncIterator[signal.Signals]) -> None:
        await recover(self._instance, self.concluding)
        async with anyio.create_task_group() as tasks:
            self.start(tasks)
            self._tell_ready()
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reload(tasks)
                else:
                    self._asked_to_stop(tasks)

    # -- services --------------------------------------------------------------------------------

    def start(self, tasks: TaskGroup) -> None:
        """Start every service in a task group."""
        it = self._instance
        following = Following(it, self.concluding)
        services = [
            Service("inbound", self._inbound.run, essential=True),
            Service("following", following.run, essential=True),
            Service("tenant", it.gate.run, essential=True),
            Service("token", self._link.keep_token),
            Service("desk", self._desk().run, essential=True),
            Service("stage_errors", self._stage_errors.run),
            Service("outbound", self._outbound.run),
            Service("status", self._status_files.run),
            Service("token expiry", self._record_token),
            Service("watchdog", self._keep_pulse, essential=True),
        ]
        for service in services:
            self._supervisor.start(tasks, service)
        self._start_folders(tasks)
        self._start_listener(tasks)
        self._vitals.ready = True

    def _desk(self) -> Desk:
        it = self._instance
        return Desk(it, self.concluding, self._sending, GlDesk(it, self._outbound))

    def _start_folders(self, tasks: TaskGroup) -> None:
        self._lookers = {
            folder.name: Looking(self._instance, folder.name, self.concluding)
            for folder in self._instance.config.folders
        }
        for name, looker in self._lookers.items():
            self._supervisor.start(tasks, Service(f"folder {name}", looker.run))
        self._supervisor.start(tasks, Service("watcher", self._watch))

    async def _watch(self) -> None:
        places = {self._instance.places(name).inbox: name for name in self._lookers}

        def nudge(inbox: Path) -> None:
            self._lookers[places[inbox]].wake.nudge()

        await watch(list(places), nudge)

    async def _record_token(self) -> None:
        """Commands read from the ledger how long the token lives."""
        book = self._instance.ledger.book
        while True:  # at once: what the last process had is gone with it
            expires = str(self._link.token_expires or "")
            with suppress(NoSpace):  # told by those who have to write more than this
                await self._instance.ledger.run(book.set_meta, "token_expires", expires)
            await self._link.changed.wait()

    def _have_listener(self) -> None:
        """It counts from now on, if it is wanted; one that was made once goes on counting."""
        if self._instance.config.http.enabled and self._listener is None:
            self._listener = self._make_listener(self._vitals)

    def _start_listener(self, tasks: TaskGroup) -> None:
        self._have_listener()
        if self._instance.config.http.enabled and self._listener is not None:
            self._supervisor.start(tasks, Service("http", self._listener.run))

    async def _keep_pulse(self) -> None:
        """A sign of life only while the event loop turns, the ledger answers and the inbound pipeline goes round."""
        interval = self._notifier.watchdog_interval
        if interval is None:
            await self._vitals.pulse.keep(EVERY, None)
        else:
            await self._vitals.pulse.keep(min(EVERY, interval / 3), self._notifier.watchdog)

    def _tell_ready(self) -> None:
        folders = len(self._instance.config.folders)
        self._notifier.ready(f"{folders} folders, {len(list(self._instance.register))} open drops")
        log.info("daemon.ready", folders=folders)

    # -- reload ----------------------------------------------------------------------------------

    async def _reload(self, tasks: TaskGroup) -> None:
        """Take a new configuration, or keep the old one and say why."""
        self._notifier.reloading()
        try:
            config = load(self._path)
            refuse_fixed(self._instance.config, config)
            if config.gl.enabled:
                await off_loop(refuse_outbox, config)
            client = self._link.connect(config)
        except ConfigError as error:
            hint = f"The old one stays in force. Correct {self._path} and reload again."
            log.error("config.rejected", error=error.problems, hint=hint)  # noqa: TRY400  (a person's slip, no fault of ours)
        else:
            await self._apply(config, client, tasks)
            log.info("config.reloaded", config=config.digest)
        self._tell_ready()

    async def _apply(self, config: Config, client: RevenueApi, tasks: TaskGroup) -> None:
        names = [f"folder {name}" for name in self._lookers]
        await self._supervisor.stop("watcher", *names)
        configure(config.log.level, config.log.format)
        old = self._instance.config
        # Its token may be another now, under the same name.
        if config.http != old.http or config.http.token is not None:
            await self._supervisor.stop("http")
        # The token outlives a reload that changes nothing about the tenant.
        if settings(config) != settings(old) or config.tenant != old.tenant:
            self._link.renew(client)
        else:
            await client.aclose()
            self._link.retry_now()  # a secret's file may have been mended
        self._instance.config = config
        self._instance.gate.reloaded(config.templates.keys())
        self._inbound.reloaded()
        self._instance.register.reorder(order_of(config))
        self._start_folders(tasks)
        if "http" not in self._supervisor.services:
            self._start_listener(tasks)
        self._instance.register.changed.nudge()
        self._instance.register.accepted.nudge()
        self._stage_errors.wake.nudge()
        self._outbound.wake.nudge()

    # -- stopping --------------------------------------------------------------------------------

    def _asked_to_stop(self, tasks: TaskGroup) -> None:
        self._stop_asked += 1
        if self._stop_asked > 1:
            log.warning(
                "daemon.stopping", reason="interrupted; what is on its way will be in doubt"
            )
            tasks.cancel_scope.cancel()
            return
        self._instance.stopping = True
        self._notifier.stopping()
        self._sending.stop_unreleased()
        log.info("daemon.stopping", uploads=len(self._sending.inflight))
        tasks.start_soon(self._ask_for_time)
        tasks.start_soon(self._stop_when_safe, tasks)

    async def _stop_when_safe(self, tasks: TaskGroup) -> None:
        """Wait for the answers to what was released, and for filing under way, then end the rest."""
        with anyio.move_on_after(self._instance.config.stop_timeout) as patience:
            while self._sending.inflight or self._inbound.filing:
                await self._inbound.quiet.wait()
        await self._status_files.refresh()
        if patience.cancelled_caught:
            left = [u.drop for u in self._sending.inflight.values() if u.phase is Phase.RELEASED]
            log.warning("daemon.stopping", reason="stop_timeout is over", drops=left)
        tasks.cancel_scope.cancel()

    async def _ask_for_time(self) -> None:
        """As long as an upload past its last chunk is waited for, the service manager must not cut it."""
        while True:
            if any(u.phase is Phase.RELEASED for u in self._sending.inflight.values()):
                self._notifier.extend(ASK_FOR)
            await anyio.sleep(ASK_EVERY)


def lay_out_outbox(config: Config) -> None:
    """Raises RefusedToStart for an outbox on another file system; lesser trouble is told while running."""
    if config.gl.enabled:
        with suppress(NoSpace, FolderTrouble):
            outbox.lay_out(config.root, config.outbox)


def refuse_outbox(config: Config) -> None:
    """The same for a reload. Raises ConfigError."""
    try:
        lay_out_outbox(config)
    except RefusedToStart as error:
        raise ConfigError([f"gl.outbox: {error.message}; {error.hint}"]) from error


def order_of(config: Config) -> Callable[[str], str]:
    """Each folder's order; what is no longer configured waits in order of arrival."""
    orders = {folder.name: folder.order for folder in config.folders}
    return lambda name: orders.get(name, "arrival")


def refuse_fixed(old: Config, new: Config) -> None:
    """Raises ConfigError for what only a restart can change."""
    problems = [
        f"{key}: can't be changed by a reload; restart revsyncd"
        for key in FIXED
        if getattr(old, key) != getattr(new, key)
    ]
    if old.tenant.base_url != new.tenant.base_url:
        problems.append("tenant.base_url: can't be changed by a reload; restart revsyncd")
    if problems:
        raise ConfigError(problems)


def _fatal(group: BaseException) -> int:
    error = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    log.error("daemon.stopped", error=str(error), hint=getattr(error, "hint", ""))
    return EXIT_FATAL
