"""What administrators get wrong on a host: real mounts, real users, real limits, real access lists."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from checkup_child import HIDDEN, by_code, findings_of, skip_unless_unshared
from made_drops import claim, opened, tree

from revsyncd.checkup import look
from revsyncd.config import Config, load
from revsyncd.first_tree import make_folders

SERVICE, SENDER = 65_534, 12_345  # nobody, and a number without a name
MOUNTING = ("-m",)
A_USER = ("-Ur",)
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets of the tree, and no unit's credentials."""
    monkeypatch.setenv("REVSYNCD_TEST_USER", "erp")
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", "top-secret")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two folders, all right."""
    return tree(tmp_path)


@pytest.fixture
def theirs() -> Iterator[Config]:
    """The same where every user may look, all of it the service's."""
    home = Path(tempfile.mkdtemp(prefix="revsyncd-check-"))
    home.chmod(0o755)
    config = tree(home)
    for path in (config.state_dir, config.root, *config.root.rglob("*")):
        mode = path.stat().st_mode
        os.chown(path, SERVICE, SERVICE)
        path.chmod(stat.S_IMODE(mode))  # the kernel takes the setgid bit away
    yield config
    shutil.rmtree(home)


def told(config: Config) -> dict[str, dict[str, str]]:
    """What is found here and now, by code, with a mount table that says nothing."""
    return by_code([each.to_json() for each in look(config, HIDDEN, ())])


# -- mounts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["inbox", ".work", "done", "held"])
def test_a_bind_mount_is_found_by_a_real_rename(config: Config, place: str) -> None:
    """On one disk and with one device number, only the rename tells that the mount is another."""
    skip_unless_unshared(*MOUNTING)
    path = config.root / "events" / place
    mounted = f"mount --bind {path} {path}"
    found = findings_of(config.path, first=mounted, namespace=MOUNTING)
    assert f"{path} is another file system or mount than" in found["mount.separate"]["message"] or (
        place == "inbox" and f"than {path}" in found["mount.separate"]["message"]
    )
    assert not found["mount.separate"]["ok"]
    assert "findmnt -T" in found["mount.separate"]["next_step"]
    assert not list(config.root.rglob(".revsyncd-check-*"))


def test_a_mounted_date_folder_is_found_in_the_list_of_mounts(config: Config) -> None:
    """Where today nothing is renamed to, something may be tomorrow."""
    skip_unless_unshared(*MOUNTING)
    path = config.root / "events" / "done" / "2026-11-24"
    path.mkdir()
    found = findings_of(
        config.path,
        first=f"mount -t tmpfs none {path}",
        namespace=MOUNTING,
        mounts=Path("/proc/self/mountinfo"),
    )
    assert str(path) in found["mount.separate"]["message"]


def test_a_read_only_mount(config: Config) -> None:
    """As outside of the unit's ReadWritePaths=: root itself can't write there."""
    skip_unless_unshared(*MOUNTING)
    path = config.root / "events"
    mounted = f"mount --bind {path} {path} && mount -o remount,ro,bind {path}"
    found = findings_of(config.path, first=mounted, namespace=MOUNTING)
    assert f"remount,rw {path}" in found["directory.read_only"]["next_step"]


def test_a_full_disk(config: Config) -> None:
    """What is in the way of a rename is named by its error."""
    skip_unless_unshared(*MOUNTING)
    path = config.root / "events"
    mounted = (
        f"mount -t tmpfs -o nr_inodes=8 none {config.root} && mkdir -p {path}/inbox {path}/done"
        f" {config.root}/transactions/inbox && touch {path}/a {path}/b; true"
    )
    found = findings_of(config.path, first=mounted, namespace=MOUNTING)
    assert "No space left" in found["directory.unusable"]["message"]
    assert "df -i" in found["directory.unusable"]["next_step"]


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_a_network_file_system(config: Config, tmp_path: Path, kind: str) -> None:
    """Inboxes on one are looked at by polling, which is a note; the ledger may not be there."""
    listed = tmp_path / "mountinfo"
    lines = ["1 0 8:1 / / rw - ext4 /dev/sda rw", f"2 1 0:9 / {config.root} rw - {kind} far:/x rw"]
    listed.write_text("\n".join(lines))
    found = by_code([each.to_json() for each in look(config, listed, ())])
    assert found["network.root"]["ok"]
    assert "every 5 seconds, by polling" in found["network.root"]["message"]
    assert "network.state" not in found
    listed.write_text(lines[0] + f"\n2 1 0:9 / {config.state_dir} rw - {kind} far:/x rw\n")
    found = by_code([each.to_json() for each in look(config, listed, ())])
    assert not found["network.state"]["ok"]
    assert "network.root" not in found


def test_a_ledger_in_memory(config: Config) -> None:
    """A real tmpfs under state_dir is told as gone after a reboot."""
    skip_unless_unshared(*MOUNTING)
    found = findings_of(
        config.path,
        first=f"mount -t tmpfs -o mode=0700 none {config.state_dir}",
        namespace=MOUNTING,
        mounts=Path("/proc/self/mountinfo"),
    )
    assert found["state.volatile"]["ok"]


def test_little_space(config: Config) -> None:
    """It is noted for what the ledger and the drops each need, and nothing fails for it."""
    skip_unless_unshared(*MOUNTING)
    mounted = f"mount -t tmpfs -o mode=0700,size=4m none {config.state_dir}"
    note = findings_of(config.path, first=mounted, namespace=MOUNTING)["space.low"]
    assert note["ok"]
    assert (note["subject"], f"df -h {config.state_dir}" in note["next_step"]) == (
        "state_dir",
        True,
    )


# -- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number", "code"),
    [
        ("max_inotify_instances", 0, "inotify.instances"),
        ("max_inotify_watches", 1, "inotify.watches"),
    ],
)
def test_inotify_limits(config: Config, name: str, number: int, code: str) -> None:
    """With no instance left, or fewer watches than folders, the kernel refuses; the limit is named."""
    lowered = f"echo {number} > /proc/sys/user/{name}"
    skip_unless_unshared(*A_USER, first=lowered)
    found = findings_of(config.path, first=lowered, namespace=A_USER)
    limit = name.replace("inotify", "user")
    assert f"fs.inotify.{limit} = " in found[code]["next_step"]
    assert not found[code]["ok"]


# -- owners and modes ----------------------------------------------------------------------------


@only_root
def test_a_tree_of_the_service(theirs: Config) -> None:
    """As the service's user all is right but that nobody is in its group."""
    found = findings_of(theirs.path, uid=SERVICE)
    assert [code for code in found if not found[code]["ok"]] == []


@only_root
def test_a_directory_that_the_service_may_not_write(theirs: Config) -> None:
    """`done/` made by root and forgotten: named with the chown that mends it."""
    done = theirs.root / "events" / "done"
    os.chown(done, 0, 0)
    found = findings_of(theirs.path, uid=SERVICE)
    assert str(done) in found["directory.denied"]["message"]
    assert (
        f"sudo chown nobody:nogroup {done} && sudo chmod 2750 {done}"
        in (found["directory.denied"]["next_step"])
    )


@only_root
def test_a_missing_inbox_is_made_with_its_folders_group(theirs: Config) -> None:
    """A sender may have a group of its own, which the folder tells."""
    home = theirs.root / "events"
    os.chown(home, SERVICE, SENDER)
    (home / "inbox").rmdir()
    step = findings_of(theirs.path, uid=SERVICE)["directory.missing"]["next_step"]
    assert f"install -d -o nobody -g {SENDER} -m 2770 {home}/inbox" in step


@only_root
def test_a_directory_of_somebody_else(theirs: Config) -> None:
    """Who owns a shelf may change what is filed there, however well the service can write it."""
    done = theirs.root / "events" / "done"
    os.chown(done, SENDER, SERVICE)
    done.chmod(0o2770)
    found = findings_of(theirs.path, uid=SERVICE)
    assert f"{done} belongs to {SENDER}" in found["directory.owner"]["message"]
    assert f"sudo chown nobody:nogroup {done}" in found["directory.owner"]["next_step"]


@only_root
def test_a_shelf_that_keeps_its_group_to_itself(theirs: Config) -> None:
    """Reports would get the service's own group, which those who may read the shelf are not in."""
    done = theirs.root / "events" / "done"
    os.chown(done, SERVICE, SENDER)
    done.chmod(0o750)
    assert (
        f"chmod g+s {done}" in findings_of(theirs.path, uid=SERVICE)["directory.group"]["next_step"]
    )


@pytest.mark.parametrize(
    ("place", "mode", "code", "step"),
    [
        ("root/events/held", 0o2757, "directory.open", "chmod o-w"),
        ("state", 0o755, "state.open", "chmod 0700"),
        ("root/events/inbox", 0o2750, "inbox.not_writable", "chmod 2770"),
        ("root/events/inbox", 0o770, "inbox.no_setgid", "chmod g+s"),
        ("root/events", 0o2700, "inbox.not_reached", "chmod g+rx"),
    ],
)
def test_modes(  # noqa: PLR0917  (pytest hands them in by name)
    config: Config, tmp_path: Path, place: str, mode: int, code: str, step: str
) -> None:
    """Each wrong mode is told alone, with the chmod that mends it."""
    path = tmp_path / place
    path.chmod(mode)
    found = told(config)
    assert [each for each in found if each != "inbox.no_sender"] == [code]
    assert step in found[code]["next_step"]
    assert str(path) in found[code]["next_step"]


@only_root
@pytest.mark.parametrize("mode", [0o2700, 0o2770])
def test_an_inbox_that_belongs_to_its_sender(config: Config, mode: int) -> None:
    """The SFTP user owns it, so no group is asked for."""
    inbox = config.root / "events" / "inbox"
    os.chown(inbox, SENDER, 0)
    inbox.chmod(mode)
    assert "events" not in str(told(config).get("inbox.no_sender", ""))
    assert "inbox.not_writable" not in told(config)


@only_root
def test_the_sticky_bit(config: Config) -> None:
    """It keeps the service from moving what the inbox's owner drops."""
    inbox = config.root / "events" / "inbox"
    os.chown(inbox, SENDER, 0)
    inbox.chmod(0o3770)
    assert f"chmod -t {inbox}" in told(config)["inbox.sticky"]["next_step"]


def test_a_group_without_members_is_noted(config: Config) -> None:
    """Nobody can drop yet; a group that is kept elsewhere is not judged."""
    group = config.root.stat().st_gid
    found = told(config)
    if group == 0:  # root's group has no other member on any machine
        assert found["inbox.no_sender"]["ok"]
        assert "usermod -a -G root USER" in found["inbox.no_sender"]["next_step"]
    if os.geteuid() == 0:
        for name in ("events", "transactions"):
            os.chown(config.root / name / "inbox", 0, SENDER)
            (config.root / name / "inbox").chmod(0o2770)
        assert "inbox.no_sender" not in told(config)


def test_an_access_list_lets_the_sender_in(config: Config) -> None:
    """A named user may write though the group may not; with a mask that forbids it, nobody may."""
    inbox = config.root / "events" / "inbox"
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not here (Debian: acl)")
    inbox.chmod(0o2750)
    assert "inbox.not_writable" in told(config)
    change = ["setfacl", "-m", f"u:{SENDER}:rwx,m::rwx", str(inbox)]
    if subprocess.run(change, check=False, capture_output=True).returncode != 0:
        pytest.skip(f"{inbox}: this file system has no access lists")
    assert "inbox.not_writable" not in told(config)
    subprocess.run(["setfacl", "-m", "g::rwx,m::rx", str(inbox)], check=True)
    assert "inbox.not_writable" in told(config)


# -- the outbox ----------------------------------------------------------------------------------


def with_outbox(config: Config, confirm: str = "acknowledged") -> Config:
    """Batches are fetched, too."""
    config.path.write_text(config.path.read_text() + f'[gl]\nconfirm = "{confirm}"\n')
    whole = load(config.path)
    make_folders(whole)
    return whole


@pytest.mark.parametrize(
    ("place", "mode", "code", "step"),
    [
        ("outbox/gl", 0o2750, "outbox.not_writable", "chmod 2770"),
        ("outbox/gl", 0o3770, "outbox.sticky", "chmod -t"),
        ("outbox", 0o2700, "outbox.not_reached", "chmod o+x"),
    ],
)
def test_modes_of_the_outbox(config: Config, place: str, mode: int, code: str, step: str) -> None:
    """Each wrong mode is told alone, with the chmod that mends it; as it is made, nothing is."""
    whole = with_outbox(config)
    assert "gl.outbox" not in {each["subject"] for each in told(whole).values()}
    path = config.root / place
    path.chmod(mode)
    found = {each: it for each, it in told(whole).items() if each != "inbox.no_sender"}
    assert list(found) == [code]
    assert f"sudo {step} {path}" in found[code]["next_step"]


def test_an_outbox_that_is_only_read(config: Config) -> None:
    """Where the ERP acknowledges nothing, it need not write."""
    whole = with_outbox(config, "written")
    whole.outbox.chmod(0o2750)
    assert not [code for code in told(whole) if code.startswith("outbox.")]


@only_root
def test_an_outbox_that_keeps_its_group_to_itself(theirs: Config) -> None:
    """Batches would get the service's own group."""
    whole = with_outbox(theirs)
    for path in (whole.outbox.parent, whole.outbox, whole.outbox / ".held"):
        os.chown(path, SERVICE, SENDER)
        path.chmod(0o2770)
    assert "outbox.no_setgid" not in findings_of(whole.path, uid=SERVICE)
    whole.outbox.chmod(0o770)
    step = findings_of(whole.path, uid=SERVICE)["outbox.no_setgid"]["next_step"]
    assert f"chmod g+s {whole.outbox}" in step


# -- what the configuration forgot ---------------------------------------------------------------


def test_a_folder_taken_out_with_open_drops(config: Config) -> None:
    """Its drops are counted, and the section that they need is named."""
    with opened(config) as ledger:
        claim(config, ledger, "a.csv", "events")
        text = config.path.read_text()
        config.path.write_text(text.partition("[templates.events]")[0])
        found = told(load(config.path))
    assert "open or held drops of it: 1" in found["folder.not_configured"]["message"]
    assert "[templates.events]" in found["folder.not_configured"]["next_step"]


def test_files_in_an_inbox_that_nobody_looks_at(config: Config) -> None:
    """A note, with the folder that may have been meant; an empty one is nothing to tell."""
    inbox = config.root / "event" / "inbox"
    inbox.mkdir(parents=True)
    assert "folder.unwatched" not in told(config)
    (inbox / "a.csv").write_text("x")
    found = told(config)["folder.unwatched"]
    assert found["ok"]
    assert f"nobody looks at {inbox}; files in it: 1" in found["message"]


def test_a_date_mask_that_cant_be_checked(config: Config, tmp_path: Path) -> None:
    """Every drop would wait for it, so it is found before the first; the rest is told all the same."""
    path = tmp_path / "mapping.toml"
    path.write_text(path.read_text().replace("DD-MON-YYYY", "J").replace("number", "date"))
    found = told(config)
    assert '"J" is not a mask' in found["template.mapping_file"]["message"]
    assert not found["template.mapping_file"]["ok"]


# -- credentials ---------------------------------------------------------------------------------


def with_credentials(config: Config) -> Config:
    """The password is the unit's."""
    text = config.path.read_text()
    config.path.write_text(
        text.replace("env:REVSYNCD_TEST_PASSWORD", "credential:revenue-password")
    )
    return load(config.path)


def test_a_credential_that_a_unit_loads_is_noted_when_run_by_hand(
    config: Config, tmp_path: Path
) -> None:
    """With the command that checks as the unit does; an instance's drop-in prevails over the template."""
    units = tmp_path / "systemd"
    (units / "revsyncd@config.service.d").mkdir(parents=True)
    (units / "revsyncd@.service").write_text(
        "[Service]\n#LoadCredential=other:/x\nLoadCredential=revenue-password:/etc/revsyncd/%i.old\n"
        "ReadWritePaths=/srv/revsync/%i\n"
    )
    (units / "revsyncd@config.service.d" / "override.conf").write_text(
        "[Service]\nLoadCredentialEncrypted=revenue-password:/etc/revsyncd/%i.cred\n"
    )
    configured = with_credentials(config)
    found = by_code([each.to_json() for each in look(configured, HIDDEN, (units,))])
    note = found["credential.by_hand"]
    assert note["ok"]
    assert "systemd-run --pipe --wait" in note["next_step"]
    assert (
        "-p LoadCredentialEncrypted=revenue-password:/etc/revsyncd/config.cred" in note["next_step"]
    )
    confined = f"-p ReadWritePaths=-/srv/revsync/config -p ReadWritePaths=-{config.state_dir}"
    assert confined in note["next_step"]
    assert str(config.path) in note["next_step"]


def test_a_credential_that_no_unit_loads(config: Config) -> None:
    """Then the service could not start with it either."""
    found = told(with_credentials(config))["credential.not_loaded"]
    assert not found["ok"]
    assert "systemctl edit revsyncd@config" in found["next_step"]
    assert "LoadCredential=revenue-password:FILE" in found["next_step"]


def test_under_the_unit_a_credential_is_read(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There it is there, or wrong."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    configured = with_credentials(config)
    assert "secret.unreadable" in told(configured)
    (tmp_path / "revenue-password").write_text("secret")
    assert not {"secret.unreadable", "credential.by_hand"} & told(configured).keys()
