"""Commands and exit codes: what people and service managers call. `click` enters only here."""

from revsyncd.cli.group import main

__all__ = ["main"]
