"""What `revsyncd check` looks at: whether an instance could run as configured, and what to mend.

Everything is looked at, whatever is wrong with the rest. Nothing is changed: a directory that is made
to try renames is gone again.
"""

from collections.abc import Sequence
from pathlib import Path

from revsyncd.adapters import mounts
from revsyncd.checkup import columns, directories, host, secret_places
from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.online import look_online
from revsyncd.checkup.senders import senders
from revsyncd.checkup.service import Service
from revsyncd.checkup.takers import takers
from revsyncd.config import Config

__all__ = ["Finding", "found", "look", "look_online"]


def look(
    config: Config,
    mounted: Path = mounts.MOUNTS,
    units: Sequence[Path] = secret_places.UNITS,
) -> list[Finding]:
    """All that can be seen on this host.

    `mounted` is the kernel's list of mounts, `units` is where the service manager reads units.
    """
    service, seen = Service.of(config), mounts.mounts(mounted)
    folders = ", ".join(config.templates)
    return [
        Finding("config", f"{config.path} is understood; its folders: {folders}"),
        *host.user(config, service),
        *directories.directories(config, service),
        *directories.renames(config, service, seen),
        *directories.file_systems(config, service, seen),
        *senders(config, service),
        *takers(config, service),
        *host.watching(config),
        *secret_places.secrets(config, service, units),
        *secret_places.trust(config),
        *host.ledger(config),
        *host.left_behind(config, service),
        *columns.mapping_files(config),
    ]
