"""The three folders of a life, and the configurations between which reloads choose."""

import json
from dataclasses import dataclass
from pathlib import Path

from lives.road import TENANT

SMALL, EVENT = "Small Transactions", "Event Upload"
TEMPLATES = {"orders": SMALL, "invoices": SMALL, "events": EVENT}
READY = {"orders": "settle", "invoices": "manifest", "events": "marker"}
COMPANION = {"invoices": ".manifest.json", "events": ".ok"}

CONFIG = """
root = "{base}/root"
state_dir = "{base}/state"
timezone = "UTC"
stop_timeout = "30s"
[tenant]
base_url = "{tenant}"
role = "API Role"
client_name = "Default"
username = "env:LIVES_USERNAME"
password = "env:LIVES_PASSWORD"
upload_timeout = "2m"
read_timeout = "1m"
[stage_errors]
every = "5m"
[gl]
confirm = "{confirm}"
every = "3m"
sources = {sources}
"""
FOLDER = """
[templates.{name}]
template_name = "{template}"
kind = "{kind}"
ready = "{ready}"
marker_timeout = "20m"
status_timeout = "30m"
{keys}
[templates.{name}.checks]
unique = ["Doc Line Id"]
totals = {totals}
"""


@dataclass(frozen=True, slots=True)
class Ways:
    """What a reload may change."""

    confirm: str = "written"
    sources: tuple[str, ...] = ("report", "pages", "file")
    upload: str = "file"  # of the orders
    parts: str = "parallel"  # of the orders
    records: int = 3  # an upload, at most
    on_invalid: str = "reject"  # of the invoices
    on_duplicate: str = "hold"  # of the invoices
    on_failure: str = "continue"  # of the events
    without: str = ""  # the folder that is not configured

    def text(self, base: Path) -> str:
        """The configuration."""
        most = f"max_records_per_upload = {self.records}"
        keys = {
            "orders": f'{most}\nupload = "{self.upload}"\nparts = "{self.parts}"',
            "invoices": f'{most}\nupload = "csv"\nparts = "sequence"\non_invalid = "{self.on_invalid}"'
            f'\non_duplicate = "{self.on_duplicate}"',
            "events": f'upload = "file"\norder = "name"\non_empty = "hold"\non_failure = "{self.on_failure}"',
        }
        general = CONFIG.format(
            base=base, tenant=TENANT, confirm=self.confirm, sources=json.dumps(self.sources)
        )
        return general + "".join(
            FOLDER.format(
                name=name,
                template=template,
                kind="event" if template == EVENT else "transaction",
                ready=READY[name],
                keys=keys[name],
                totals='["Ext Sll Prc"]' if template == SMALL else "[]",
            )
            for name, template in TEMPLATES.items()
            if name != self.without
        )
