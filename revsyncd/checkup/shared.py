"""A directory of ours into which others write, too: what its owner, mode and access list say."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from revsyncd.adapters.acl import AccessList, access_list
from revsyncd.checkup.service import Service, group_name

_ENTER = stat.S_IWUSR | stat.S_IXUSR


@dataclass(frozen=True, slots=True)
class Shared:
    """The directory as it was seen."""

    path: Path
    seen: os.stat_result
    access: AccessList

    @classmethod
    def at(cls, path: Path) -> "Shared":
        """Raises OSError where it is not there, or may not be looked at."""
        return cls(path, path.stat(), access_list(path))

    @property
    def mode(self) -> str:
        """As people write it, such as 2770."""
        return f"{stat.S_IMODE(self.seen.st_mode):04o}"

    @property
    def group(self) -> str:
        """Its name, else its number."""
        return group_name(self.seen.st_gid)

    @property
    def group_writes(self) -> bool:
        """Whether the owning group may make files in it."""
        return self.access.group & 3 == 3  # noqa: PLR2004  (write and search)

    @property
    def named_write(self) -> bool:
        """Whether somebody whom the access list names may."""
        return any(entry.writes for entry in self.access.named)

    @property
    def hands_down(self) -> bool:
        """Whether what is made in it gets its group, or an access list."""
        return bool(self.seen.st_mode & stat.S_ISGID) or self.access.inherited

    @property
    def sticky(self) -> bool:
        """Whether only its owner and a file's owner may take the file out."""
        return bool(self.seen.st_mode & stat.S_ISVTX)

    def of_another(self, service: Service) -> bool:
        """Whether it belongs to somebody else than the service's user."""
        return self.seen.st_uid != service.uid

    def others_write(self, service: Service) -> bool:
        """Whether anybody but the service's user may make files in it."""
        owner_writes = self.seen.st_mode & _ENTER == _ENTER and self.of_another(service)
        return self.group_writes or self.named_write or owner_writes

    def shut_above(self, above: Iterable[Path]) -> Iterator[Path]:
        """The directories on the way that do not let this one's group through."""
        for path in above:
            try:
                way = Shared.at(path)
            except OSError:
                continue
            own_group = way.seen.st_gid == self.seen.st_gid and way.access.group & 1
            named = any(entry.searches for entry in way.access.named)
            if not (own_group or named or way.seen.st_mode & stat.S_IXOTH):
                yield path
