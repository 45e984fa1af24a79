"""The ledger lost, torn, foreign, older or read-only under the real daemon, and the commands that help."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from daemon import COMMAND, Daemon, Launch, lines, sent
from strict_tenant import StrictTenant

LEDGER = "ledger.sqlite3"
Harm = Callable[[Path], object]


def gone(ledger: Path) -> None:
    ledger.unlink()


def garbage(ledger: Path) -> None:
    """Every page but the first is random."""
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(ledger.stat().st_size - 4096))


def refused(daemon: Daemon) -> str:
    """Start, which must fail; what it said."""
    before = len(daemon.lines)
    daemon.start(ready=False)
    assert daemon.exit_code() == 1
    daemon.expected_faults = ("",)  # the refusal itself is told in plain words, as commands do
    return "\n".join(daemon.lines[before:])


@pytest.mark.parametrize("harm", [gone, garbage])
def test_a_lost_ledger_is_rebuilt(launch: Launch, tenant: StrictTenant, harm: Harm) -> None:
    """A start refuses what is lost or torn and names the remedy; rebuilt, it knows what was posted."""
    daemon = launch()
    daemon.site.drop("a.csv", lines("1", "2"))
    first = daemon.settled("a.csv")
    assert daemon.stop() == 0
    harm(daemon.site.state / LEDGER)
    assert "ledger rebuild" in refused(daemon)
    assert daemon.command("ledger", "check").returncode == 1
    assert daemon.command("check", "--audit").returncode == 1
    made = daemon.command("ledger", "rebuild")
    assert (made.returncode, made.stderr) == (0, "")
    assert "a new ledger knows 1 drop (1 done)" in made.stdout
    for check in (("ledger", "check"), ("check", "--audit")):
        assert daemon.command(*check).returncode == 0
    daemon.start()
    daemon.site.drop("b.csv", lines("1", "2"))
    daemon.site.drop("c.csv", lines("3"))
    assert daemon.settled("c.csv").ending == ("done", "staged")
    again = daemon.settled("b.csv")
    assert (again.ending, again.report["duplicate_of"]) == (("held", "duplicate"), first.drop)
    assert sent(tenant) == ["1", "2", "3"]
    kept = [*(daemon.site.state / "replaced-ledgers").glob("*/*")]
    assert (LEDGER in [path.name for path in kept]) is (harm is not gone)


def test_an_older_copy_is_refused_and_rebuilt(launch: Launch, tenant: StrictTenant) -> None:
    """A backup that misses a release is seen by the head file; a rebuild knows that release again."""
    daemon = launch()
    daemon.site.drop("a.csv", lines("1"))
    daemon.settled("a.csv")
    copy = daemon.site.home / "backup"
    assert daemon.command("ledger", "backup", str(copy)).returncode == 0
    daemon.site.drop("b.csv", lines("2"))
    daemon.settled("b.csv")
    daemon.stop()
    shutil.copyfile(copy, daemon.site.state / LEDGER)
    told = refused(daemon)
    assert "is older than what" in told
    assert "ledger rebuild" in told
    assert daemon.command("ledger", "check").returncode == 1
    assert daemon.command("ledger", "rebuild").returncode == 0
    daemon.start()
    daemon.site.drop("c.csv", lines("2"))
    assert daemon.settled("c.csv").ending == ("held", "duplicate")
    audited = daemon.command("check", "--audit")
    assert (audited.returncode, audited.stderr) == (0, "")
    assert sent(tenant) == ["1", "2"]


def test_a_backup_is_taken_where_nothing_happened_since(launch: Launch) -> None:
    """Restored under a tree that it fits, a copy is as good as the ledger."""
    daemon = launch()
    daemon.site.drop("a.csv", lines("1"))
    daemon.settled("a.csv")
    copy = daemon.site.home / "backup"
    assert daemon.command("ledger", "backup", str(copy)).returncode == 0
    daemon.stop()
    shutil.copyfile(copy, daemon.site.state / LEDGER)
    assert daemon.command("ledger", "check").returncode == 0
    daemon.start()
    daemon.site.drop("b.csv", lines("1"))
    assert daemon.settled("b.csv").ending == ("held", "duplicate")


def test_a_foreign_ledger_is_refused(launch: Launch, tmp_path: Path) -> None:
    """The ledger of another root is none; what it replaces is put back or made anew."""
    daemon = launch()
    daemon.site.drop("a.csv", lines("1"))
    daemon.settled("a.csv")
    daemon.stop()
    own, head = daemon.site.state / LEDGER, daemon.site.root / ".revsyncd" / "ledger.json"
    kept = (own.read_bytes(), head.read_bytes())
    own.unlink()
    head.unlink()
    daemon.restart()  # another root's, as far as it knows
    daemon.stop()
    head.write_bytes(kept[1])
    told = refused(daemon)
    assert "the root belongs to ledger" in told
    assert "ledger rebuild" in told
    own.write_bytes(kept[0])
    daemon.start()


def test_no_rebuild_beside_the_daemon(launch: Launch) -> None:
    """While a daemon runs its ledger is not taken from it."""
    daemon = launch()
    made = daemon.command("ledger", "rebuild")
    assert made.returncode == 1
    assert "another revsyncd" in made.stderr


IN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'


def test_a_read_only_ledger(launch: Launch, tenant: StrictTenant) -> None:
    """A state directory that can't be written starts nothing and loses nothing."""
    daemon = launch()
    daemon.stop()
    read_only = (*IN_NAMESPACE, READ_ONLY, str(daemon.site.state))
    if not shutil.which("unshare") or subprocess.run([*read_only, "true"], check=False).returncode:
        pytest.skip("no file system can be mounted in a namespace here")
    daemon.site.drop("a.csv", lines("1"))
    daemon.wrapper = read_only
    assert "Read-only file system" in refused(daemon)
    rebuild = (*COMMAND[:-1], "ledger", "rebuild", "--config", str(daemon.site.config))
    environment = daemon.whole_environment()
    made = subprocess.run(
        [*read_only, *rebuild], env=environment, capture_output=True, text=True, check=False
    )
    assert (made.returncode, "Read-only file system" in made.stderr) == (1, True)
    daemon.wrapper = ()
    daemon.start()
    assert daemon.settled("a.csv").ending == ("done", "staged")
    assert sent(tenant) == ["1"]
