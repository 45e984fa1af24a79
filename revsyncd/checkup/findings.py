"""Every finding of `revsyncd check`: its code, and what mends it.

The list is closed. The manual's table in docs/check.md is `table()`, so what the
manual says is what the command says.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that may be found: what it is, and its next step with `{facts}` to be filled in.

    A note is told with its next step, but nothing fails for it.
    """

    finds: str
    mend: str
    note: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. What is right has no code; what is told has one, and a next step."""

    subject: str
    message: str
    next_step: str = ""
    ok: bool = True
    code: str = ""

    def to_json(self) -> dict[str, Any]:
        """One object of the list that `--json` prints."""
        return {
            "subject": self.subject,
            "message": self.message,
            "next_step": self.next_step or None,
            "ok": self.ok,
            "code": self.code or None,
        }


KINDS: Mapping[str, Kind] = {
    "config.problem": Kind("a key of the configuration can't be used", "{hint}"),
    "user.root": Kind(
        "root runs it, and the service's user is another: what root may do says nothing",
        "Repeat it as {user}: `sudo -u {user} revsyncd check --config {config}`",
    ),
    # -- directories
    "directory.missing": Kind(
        "a directory that has to be there is not",
        "Make it, or mount its disk: `sudo install -d -o {user} -g {group} -m {mode} {path}`",
    ),
    "directory.no_directory": Kind(
        "something else lies where a directory should be",
        "Look what it is, move it away, then: `sudo install -d -o {user} -g {group} -m {mode} {path}`",
    ),
    "directory.denied": Kind(
        "the service's user may not read, write and search a directory (`done/` included)",
        "Run this as the service's user; if it was: `sudo chown {user}:{group} {path} && sudo chmod {mode} {path}`",
    ),
    "directory.owner": Kind(
        "a directory of ours belongs to somebody who could change what is filed in it",
        "Give it to the service's user: `sudo chown {user}:{group} {path}`",
    ),
    "directory.group": Kind(
        "reports made in a directory would not get its group, so those who read it could not read them",
        "Hand its group down: `sudo chmod g+s {path}`",
    ),
    "directory.open": Kind(
        "everybody on this host may write into a directory", "Shut it: `sudo chmod o-w {path}`"
    ),
    "directory.read_only": Kind(
        "a directory is on a read-only file system, or outside of the unit's `ReadWritePaths=`",
        "Mount it writable: `sudo mount -o remount,rw {mount}`; under the unit: `sudo systemctl edit {unit}`,"
        " one `ReadWritePaths=` that holds root",
    ),
    "directory.unusable": Kind(
        "a directory can't be made, renamed or removed here for another reason: a full disk or quota, I/O errors",
        "Free space or mend the disk: `df -h {path}; df -i {path}; quota -u {user}`",
    ),
    "mount.separate": Kind(
        "a rename from one directory to another fails, or would: another file system, or a mount of its"
        " own (each `ReadWritePaths=` entry is one)",
        "Have everything below root on one file system and in one mount: `findmnt -T {path}` shows what is"
        " there; `sudo umount {path}`, take it out of /etc/fstab, or let one ReadWritePaths= entry hold root",
    ),
    "network.state": Kind(
        "the ledger is on a network file system: its locks and fsync can't be relied on",
        "Move state_dir to a local disk while the daemon is stopped: `sudo systemctl stop {unit} &&"
        " sudo mv {path} LOCAL`, then set `state_dir`",
    ),
    "network.root": Kind(
        "inboxes are on a network file system: the kernel tells nothing of what others write there, so they"
        " are looked at every 5 seconds, and renames and fsync are as good as the server's",
        "Better, let senders write to a local disk of this host: `findmnt -T {path}` shows what is mounted",
        note=True,
    ),
    "state.volatile": Kind(
        "the ledger is on a disk in memory, and gone after a reboot",
        "Move state_dir to a disk while the daemon is stopped: `sudo systemctl stop {unit} && sudo mv {path}"
        " LOCAL`, then set `state_dir`",
        note=True,
    ),
    "space.low": Kind(
        "little space, or few inodes, is left for the service's user where drops or the ledger are; user quotas"
        " are not seen",
        "Free some, or enlarge the disk: `df -h {path}; df -i {path}; quota -u {user}`",
        note=True,
    ),
    "state.open": Kind(
        "others than the service's user may look into the ledger's directory",
        "Shut it: `sudo chmod 0700 {path}`",
        note=True,
    ),
    # -- inboxes
    "inbox.not_writable": Kind(
        "the SFTP user (the inbox's owner, else its group, or whom an ACL names) can't write an inbox",
        "Let the group write: `sudo chmod 2770 {path}`; with an ACL: `sudo setfacl -m u:USER:rwx,m::rwx {path}`",
    ),
    "inbox.not_reached": Kind(
        "the SFTP user can't come to the inbox: a directory above it lets only others through",
        "Let the group through: `sudo chmod g+rx {path}`; another group's: `sudo setfacl -m g:{group}:rx {path}`",
    ),
    "inbox.no_sender": Kind(
        "nobody but the service's user can write an inbox: its group has no other member on this host",
        "Add the SFTP user to it: `sudo usermod -a -G {group} USER`",
        note=True,
    ),
    "inbox.no_setgid": Kind(
        "dropped files would get the sender's own group, and the service could not read them",
        "Hand the inbox's group down: `sudo chmod g+s {path}`",
    ),
    "inbox.sticky": Kind(
        "the sticky bit keeps the service from moving other users' files out",
        "Take it away: `sudo chmod -t {path}`",
    ),
    # -- the outbox
    "outbox.not_writable": Kind(
        "the ERP (the outbox's owner, else its group, or whom an ACL names) can't write the outbox, so there"
        " will never be an `.ack`",
        "Let the group write: `sudo chmod 2770 {path}`; with an ACL: `sudo setfacl -m u:USER:rwx,m::rwx {path}`",
    ),
    "outbox.not_reached": Kind(
        "the ERP can't come to the outbox: a directory above it lets only others through",
        "Let others pass through: `sudo chmod o+x {path}`; or that group alone: `sudo setfacl -m g:{group}:x {path}`",
    ),
    "outbox.no_setgid": Kind(
        "batches would get the service's own group, and the ERP could not read them",
        "Hand the outbox's group down: `sudo chmod g+s {path}`",
    ),
    "outbox.sticky": Kind(
        "the sticky bit keeps the ERP from taking files away",
        "Take it away: `sudo chmod -t {path}`",
    ),
    # -- watching
    "inotify.instances": Kind(
        "the service's user has no inotify instance left: files are found up to 5 seconds later",
        "Raise the limit: `echo 'fs.inotify.max_user_instances = {wanted}' | sudo tee"
        " /etc/sysctl.d/60-revsyncd.conf && sudo sysctl --system`",
    ),
    "inotify.watches": Kind(
        "fewer inotify watches are left than there are folders: files are found up to 5 seconds later",
        "Raise the limit: `echo 'fs.inotify.max_user_watches = {wanted}' | sudo tee"
        " /etc/sysctl.d/60-revsyncd.conf && sudo sysctl --system`",
    ),
    # -- secrets
    "secret.unreadable": Kind(
        "a secret can't be read, is empty, or is open to everybody",
        "Mend what it names: `sudo install -o {user} -m 0600 /dev/stdin FILE`. A file: is read anew at each"
        " sign-in; env: and credential: need a restart.",
    ),
    "credential.by_hand": Kind(
        "run by hand there is no `$CREDENTIALS_DIRECTORY`; a unit hands the credential over",
        "Look at it as the unit does: `{command}`",
        note=True,
    ),
    "credential.not_loaded": Kind(
        "no unit on this host hands the credential over",
        "Have the unit load it: `sudo systemctl edit {unit}`, below [Service] `LoadCredential={name}:FILE`,"
        " then `sudo systemctl restart {unit}`",
    ),
    "tenant.ca_file": Kind(
        "`ca_file` holds no certificates that can be read",
        "Name a readable PEM file with the certificate of your company's authority:"
        " `openssl x509 -in {path} -noout -subject`",
    ),
    # -- the ledger, and what it remembers of the configuration
    "ledger.refused": Kind("a start would refuse the ledger", "{hint}"),
    "folder.not_configured": Kind(
        "a folder was taken out of the configuration while drops of it are open or held",
        "Put [templates.{folder}] back until they are settled: `revsyncd status` lists them",
    ),
    "folder.unwatched": Kind(
        "files lie in an inbox below root that no section of the configuration names",
        "Add [templates.{folder}] and `sudo systemctl reload {unit}`, or have them dropped elsewhere:"
        " `ls -la {path}`",
        note=True,
    ),
    # -- the template
    "template.mapping_file": Kind(
        "a mapping file can't be read or used", "Mend what it names; it is read anew for each drop."
    ),
    "template.column": Kind(
        "a key names a column that the template does not have", "Correct the label, or take it out."
    ),
    "template.date_mask": Kind(
        "the template's date mask is none that can be checked; every drop of the folder would wait",
        'Write a mask of the same dates: `date_format = "DD-MON-YYYY"` in [templates.{folder}.csv]',
    ),
    # -- --online
    "template.unknown": Kind(
        "the tenant knows no such template, or the role may not use it",
        "Compare `template_name` letter by letter with the tenant's File Upload menu, and give the role its"
        " privileges; then `sudo systemctl reload {unit}`",
    ),
    "gl.refused": Kind(
        "batches can't be listed",
        "Give the API user's role the Webservices Outbound privilege in the tenant; then `revsyncd gl list`",
    ),
    "tenant.not_asked": Kind(
        "the tenant could not be asked: its credentials are there under the unit only",
        "Ask as the unit does: `{command}`",
    ),
    "tenant.sign_in": Kind(
        "the tenant refuses user name, password, role or client", "{hint}; then `revsyncd check --online`"
    ),
    "tenant.redirected": Kind(
        "`base_url` redirects (redirects are never followed: a token would go along)",
        "Set `base_url` to the address where the tenant answers (`curl -sI {url}` shows it under location),"
        " then `sudo systemctl restart {unit}`",
    ),
    "tenant.not_enabled": Kind(
        "the API is not enabled for this tenant (405)",
        "Ask Zuora Support to enable it; `curl -si {url}` shows the answer to send along",
    ),
    "tenant.tls": Kind(
        "no trusted connection: the certificate, its host name, or something between that opens TLS",
        "Look at the certificate: `openssl s_client -connect {address} -servername {host} </dev/null`;"
        " name your company's authority in `ca_file`",
    ),
    "tenant.proxy": Kind(
        "the proxy can't be reached, or lets nothing through to the tenant",
        "Correct `proxy`, or have the proxy let this host in: `curl -v --proxy {proxy} {url}`",
    ),
    "tenant.unreachable": Kind(
        "no answer from the tenant, or one that can't be read",
        "Look at name, network and proxy: `getent hosts {host}; curl -sv {url}`",
    ),
    "tenant.refused": Kind("the tenant answers, but this can't go on", "{hint}"),
    "clock.off": Kind(
        "this host's clock is more than a minute off the tenant's (lines in error are told apart by times)",
        "Set it: `timedatectl status; sudo timedatectl set-ntp true`",
    ),
}  # fmt: skip


def found(code: str, subject: str, message: str, **facts: object) -> Finding:
    """A finding of a known kind; `facts` fill in its next step."""
    kind = KINDS[code]
    return Finding(subject, message, kind.mend.format(**facts), ok=kind.note, code=code)


def table() -> Iterator[str]:
    """The manual's table of all kinds: facts that are filled in show in capitals."""
    yield "| code | is told when | what mends it |"
    yield "|---|---|---|"
    for code, kind in KINDS.items():
        mark = " (a note)" if kind.note else ""
        mend = re.sub(r"{(\w+)}", lambda fact: fact[1].upper(), kind.mend).replace("|", r"\|")
        shown = "as the message says" if mend == "HINT" else mend.replace("HINT;", "Mend it;")
        yield f"| `{code}`{mark} | {kind.finds} | {shown} |"
