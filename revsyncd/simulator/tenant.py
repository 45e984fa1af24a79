"""The running tenant as tests and handlers hold it: world, trouble, tokens, credentials, files."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from . import prestage
from .body import last_number
from .settings import Settings, configure
from .tokens import Tokens
from .trouble import Troubles
from .uploads import State, Upload
from .world import FIRST_REQUEST_ID, World

API = "/api/integration"
CONTROL = "/_control"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may sign in; the secrets are made up anew at each start."""

    username: str = "simulated-user"
    password: str = field(default_factory=lambda: f"invented-{secrets.token_hex(6)}")
    role: str = "API Role"
    client_name: str = "Default"
    client_id: str = "simulated-client"
    client_secret: str = field(default_factory=lambda: f"invented-{secrets.token_hex(6)}")


class Tenant:
    """One tenant; `base_url` and `report_url` are known once it is served."""

    def __init__(self, settings: Settings, directory: Path) -> None:
        """Keep what is accepted in `directory/uploads`; request ids go on after what is there."""
        self.incoming = directory / "incoming"
        self.uploads = directory / "uploads"
        for each in (self.incoming, self.uploads):
            each.mkdir(parents=True, exist_ok=True)
        first = max(FIRST_REQUEST_ID, last_number(self.uploads) + 1)
        self.world = World(settings, first_request_id=first)
        self.tokens = Tokens(self.world.clock)
        self.trouble = Troubles()
        self.credentials = Credentials()
        self.signing_key = secrets.token_bytes(32)
        self.base_url = ""
        self.report_url = ""
        self._changed = anyio.Event()
        self.world.on_change = self.trouble.on_change = self.touch

    @property
    def settings(self) -> Settings:
        """The settings now; `configure` may have changed them."""
        return self.world.settings

    def configure(self, **changes: object) -> None:
        """Change settings while the tenant runs; ValueError names the key and what it takes."""
        self.world.settings = configure(self.settings, changes)
        self.touch()

    @property
    def info(self) -> dict[str, Any]:
        """What a client needs to know; the first line of `revsyncd simulate`."""
        who = self.credentials
        return {
            "base_url": self.base_url,
            "username": who.username,
            "password": who.password,
            "role": who.role,
            "client_name": who.client_name,
            "client_id": who.client_id,
            "client_secret": who.client_secret,
            "token_url": f"{self.base_url}/oauth2/token",
            "control_url": f"{self.base_url}{CONTROL}",
            "templates": {each.name: each.labels for each in self.settings.templates},
        }

    def state(self) -> dict[str, object]:
        """Everything that was accepted and seen, for comparing."""
        return {
            **self.world.to_json(),
            "troubles": [trouble.to_json() for trouble in self.trouble.waiting],
            "troubles_met": self.trouble.met,
        }

    def touch(self) -> None:
        """Wake everybody who waits for a change."""
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

    async def seen(self, predicate: Callable[["Tenant"], bool], *, within: float = 30.0) -> None:
        """Return once `predicate` holds; TimeoutError with the state after `within` seconds."""
        with anyio.move_on_after(within):
            while not predicate(self):
                await self._changed.wait()
            return
        raise TimeoutError(f"not seen within {within:g} s; the state is {self.state()}")

    async def uploads_stored(self, count: int, *, within: float = 30.0) -> list[Upload]:
        """The accepted uploads, once there are `count`."""
        await self.seen(lambda tenant: len(tenant.world.uploads) >= count, within=within)
        return list(self.world.uploads.values())

    async def uploads_concluded(self, count: int, *, within: float = 30.0) -> list[Upload]:
        """The uploads that were staged or refused, once there are `count`."""
        ended = (State.STAGED, State.REFUSED)
        await self.seen(lambda tenant: len(tenant.world.in_state(*ended)) >= count, within=within)
        return self.world.in_state(*ended)

    async def conclude(self, upload: Upload) -> Upload:
        """Read an upload's file, off the event loop, and stage or refuse it."""
        reading = await to_thread.run_sync(
            prestage.read_file, upload.content, upload.template, self.settings
        )
        if any("not UTF-8" in refusal for refusal in reading.refusals):
            self.world.violation("encoding", f"{upload.file_name}: {reading.refusals[0]}")
        return self.world.conclude(upload.request_id, reading)

    async def stage(self) -> None:
        """The tenant's scheduler: for ever stage what is due."""
        while True:
            changed = self._changed
            if due := self.world.due():
                await self.conclude(due[0])
                continue
            next_due = self.world.next_due()
            pause = None if next_due is None else max(0.0, next_due - self.world.clock())
            with anyio.move_on_after(pause):
                await changed.wait()
