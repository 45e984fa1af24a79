"""The mapping of each folder: the tenant's, kept in the ledger and renewed hourly, or a file's."""

from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.log import get_logger
from revsyncd.config import Folder, load_mapping
from revsyncd.core.errors import Busy, TenantError, Unreachable
from revsyncd.core.template import Mapping
from revsyncd.pipelines.tenant_gate import TenantGate
from revsyncd.ports import Clock, Tenant

log = get_logger()

FRESH_FOR = 3600.0  # seconds; the reference asks for no more than one look an hour


class Mappings:
    """Mappings by template. One that is older than an hour is fetched anew before it is used."""

    def __init__(self, ledger: Ledger, clock: Clock, tenant: Tenant, gate: TenantGate) -> None:
        """`tenant` is asked through `gate`'s leave."""
        self._tenant = tenant
        self._ledger = ledger
        self._clock = clock
        self._gate = gate

    async def get(self, folder: Folder, base_url: str) -> Mapping:
        """The folder's mapping now.

        Raises TenantError when it must be fetched and can't be; an old one serves while the tenant
        is merely out of reach. Raises ConfigError for a mapping file with problems.
        """
        if folder.mapping is not None:
            return load_mapping(folder.mapping)
        kept = await self._ledger.run(self._ledger.mappings.get, base_url, folder.template_name)
        if kept is not None and self._fresh(kept[1]):
            return kept[0]
        try:
            return await self._fetch(folder, base_url)
        except (Unreachable, Busy):
            if kept is None:
                raise
            return kept[0]

    def _fresh(self, fetched_at: float) -> bool:
        # A clock set back must not keep an old mapping for ever.
        return 0 <= self._clock.now() - fetched_at < FRESH_FOR

    async def _fetch(self, folder: Folder, base_url: str) -> Mapping:
        if not (self._gate.open() and self._gate.folder_open(folder.name)):
            raise Unreachable(f"the mapping of {folder.template_name!r} waits for a pause to end")
        try:
            mapping = await self._tenant.mapping(folder.template_name)
        except TenantError as error:
            await self._gate.failed(error, folder.name, "mapping")
            raise
        await self._gate.worked(folder.name, "mapping")
        before = await self._ledger.run(
            self._ledger.mappings.put, base_url, folder.template_name, mapping
        )
        if before is not None:
            log.warning(
                "mapping.changed",
                folder=folder.name,
                template_name=folder.template_name,
                added=sorted(set(mapping.labels) - set(before.labels)),
                removed=sorted(set(before.labels) - set(mapping.labels)),
            )
        return mapping
