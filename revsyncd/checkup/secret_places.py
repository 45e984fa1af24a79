"""Whether secrets can be read, and where the unit gets its credentials when this is run by hand."""

import os
import re
import shlex
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service
from revsyncd.config import Config, SecretRef, resolve
from revsyncd.config.secrets import SecretKind
from revsyncd.core.errors import ConfigError

# Where the service manager reads units: systemd.unit(5).
UNITS = tuple(
    map(Path, ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"))
)  # fmt: skip
_WRITABLE = re.compile(r"^\s*ReadWritePaths=(.+)$", re.MULTILINE)
_LOAD = re.compile(r"^\s*(LoadCredential(?:Encrypted)?)=([^:\s]+):?(\S*)", re.MULTILINE)

Loaded = dict[str, tuple[str, str]]  # by name: the directive and where it loads from


def secrets(config: Config, service: Service, units: Sequence[Path] = UNITS) -> Iterator[Finding]:
    """Every secret that the configuration names, read and forgotten."""
    by_hand = not os.environ.get("CREDENTIALS_DIRECTORY")
    for subject, ref in named(config).items():
        if ref.kind is SecretKind.CREDENTIAL and by_hand:
            yield _credential(config, subject, ref, service, units)
        else:
            yield from _read(subject, ref, service)


def named(config: Config) -> dict[str, SecretRef]:
    """The secrets that are needed, by key."""
    refs = {f"tenant.{key}": ref for key, ref in config.tenant.secrets().items()}
    refs["http.token"] = config.http.token if config.http.enabled else None
    return {key: ref for key, ref in refs.items() if ref is not None}


def trust(config: Config) -> Iterator[Finding]:
    """Whether `ca_file` holds certificates."""
    path = config.tenant.ca_file
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        told = f"{path} can't be used: {error}"
        yield found("tenant.ca_file", "tenant.ca_file", told, path=shlex.quote(str(path)))
    else:
        yield Finding("tenant.ca_file", f"{path} holds certificates")


def only_under_the_unit(config: Config) -> bool:
    """Whether the tenant's credentials are systemd's, and this process was given none."""
    refs = config.tenant.secrets().values()
    theirs = any(ref is not None and ref.kind is SecretKind.CREDENTIAL for ref in refs)
    return theirs and not os.environ.get("CREDENTIALS_DIRECTORY")


def as_the_unit(
    config: Config, service: Service, *, units: Sequence[Path] = UNITS, online: bool = True
) -> str:
    """A command that checks as the unit's user, with its credentials and its mounts."""
    loads = loaded(config.path.stem, units)
    refs = [ref.name for ref in named(config).values() if ref.kind is SecretKind.CREDENTIAL]
    words = ["sudo", "systemd-run", "--pipe", "--wait", "--quiet", "-p", f"User={service.user}"]
    words += ["-p", "ProtectSystem=strict"] if writable(config, units) else []
    for name in dict.fromkeys(refs):
        directive, place = loads.get(name, ("LoadCredential", "FILE"))
        words += ["-p", f"{directive}={name}:{place}"]
    for path in writable(config, units):
        # A missing directory is for the check to tell; without the dash it would not even start.
        words += ["-p", f"ReadWritePaths=-{path.removeprefix('-')}"]
    words += ["revsyncd", "check", *(["--online"] if online else []), "--config", str(config.path)]
    return shlex.join(words)


def loaded(instance: str, units: Sequence[Path]) -> Loaded:
    """What the instance's unit loads."""
    return {
        secret: (directive, source or secret)
        for text in _texts(instance, units)
        for directive, secret, source in _LOAD.findall(text)
    }


def writable(config: Config, units: Sequence[Path]) -> list[str]:
    """What the unit may write to, each a mount of its own; nothing where no unit confines it."""
    lines = [line for text in _texts(config.path.stem, units) for line in _WRITABLE.findall(text)]
    paths = dict.fromkeys(path for line in lines for path in line.split())
    return [*paths, str(config.state_dir)] if paths else []


def _texts(instance: str, units: Sequence[Path]) -> Iterator[str]:
    """The unit, its template and their drop-ins for one instance; later ones prevail."""
    names = ("revsyncd.service", "revsyncd@.service", f"revsyncd@{instance}.service")
    for place in reversed(units):
        for name in names:
            for path in (place / name, *sorted((place / f"{name}.d").glob("*.conf"))):
                yield _text(path).replace("%i", instance)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _credential(
    config: Config, subject: str, ref: SecretRef, service: Service, units: Sequence[Path]
) -> Finding:
    """What can be said of a credential without the unit's own directory."""
    load = loaded(config.path.stem, units).get(ref.name)
    if load is None:
        told = f"there is no $CREDENTIALS_DIRECTORY, and no unit here loads {ref.name}"
        return found("credential.not_loaded", subject, told, unit=service.unit, name=ref.name)
    told = f"{ref} is loaded by the unit from {load[1]}; run by hand, it can't be looked at"
    command = as_the_unit(config, service, units=units, online=False)
    return found("credential.by_hand", subject, told, command=command)


def _read(subject: str, ref: SecretRef, service: Service) -> Iterator[Finding]:
    try:
        resolve(ref)
    except ConfigError as error:
        for problem in error.problems:
            yield found("secret.unreadable", subject, problem, user=service.user)
    else:
        yield Finding(subject, f"{ref} can be read")
