"""What can go wrong, named by the question a caller has.

::

    RevsyncdError               every error of ours: a message, and a hint that says what to do next
    ├── ConfigError             the configuration can't be used (exit 78)
    ├── NewerRecord             a record of the ledger that only a newer release can read
    ├── RefusedToStart          another instance, or a ledger that does not fit the root
    ├── LedgerBroken            the ledger can't be written any more: the process must end
    ├── NoSpace                 a disk is full, read-only or failing: wait, nothing is lost
    ├── CheckFailed             the checks themselves broke down (not: found problems)
    └── TenantError             a call to the tenant brought no usable answer; nothing was changed there
        ├── Unreachable         no connection, no answer in time, a cut or unreadable answer: try again
        ├── Busy                429, 503 or maintenance: try again when told
        ├── SignInRefused       wrong credentials, role or client name
        ├── Forbidden           403, or 404 on a known path, or a template that does not exist
        ├── TenantUnusable      nothing will work until a person changes something
        │   ├── NotEnabled      405: the API is not enabled for this tenant
        │   ├── Redirected      the tenant is at another address
        │   └── NotTrusted      the TLS handshake failed
        ├── NotServed           this source has nothing for this batch, or no way to it that can be trusted
        ├── TooLarge            a download is larger than allowed
        └── NotReady            a batch is not ready to transfer, so it can't be confirmed

What became of an *upload* is not an exception but a value: see `revsyncd.core.verdict`.
"""


class RevsyncdError(Exception):
    """An error with a message for the log and a hint, in plain words, for the person who reads it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        """Keep `message` (what happened, where) and `hint` (the next step; may be empty)."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class NewerRecord(RevsyncdError):
    """The ledger holds facts that only a newer release knows how to read."""

    def __init__(self, what: str, unknown: list[str]) -> None:
        """Name the record and the facts that are not known."""
        super().__init__(
            f"{what} has facts that this release does not know: " + ", ".join(unknown),
            hint="Install the release that wrote them, or a newer one.",
        )


class ConfigError(RevsyncdError):
    """The configuration has problems; `problems` lists each as one line with key and remedy."""

    def __init__(self, problems: list[str]) -> None:
        """Keep all `problems`; the message joins them, one a line."""
        super().__init__("\n".join(problems))
        self.problems = problems


class RefusedToStart(RevsyncdError):
    """Starting would endanger the promise: a second instance, or a ledger that is not this root's."""


class LedgerBroken(RevsyncdError):
    """A commit failed in a way after which the ledger's state on disk is unknown."""


class NoSpace(RevsyncdError):
    """A disk is full, read-only or failing; what was asked for did not happen."""


class CheckFailed(RevsyncdError):
    """The checks could not be carried through: the child process died or its memory bound was met."""

    def __init__(self, message: str, *, hint: str = "", lasting: bool = False) -> None:
        """`lasting`: the cause does not go away by itself, so trying again alone is of no use."""
        super().__init__(message, hint=hint)
        self.lasting = lasting


class TenantError(RevsyncdError):
    """A call to the tenant brought no usable answer; the call is one that may be repeated."""


class Unreachable(TenantError):
    """No connection, no answer in time, or an answer that can't be read."""


class Busy(TenantError):
    """The tenant asks for patience; `retry_after` is in seconds, None when it did not say."""

    def __init__(self, message: str, *, hint: str = "", retry_after: float | None = None) -> None:
        """Keep the pause that the tenant asked for, in seconds."""
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class SignInRefused(TenantError):
    """The tenant knows the call but not these credentials, this role or this client name."""


class Forbidden(TenantError):
    """403, 404 on a known path, or an unknown template: privileges or names must be mended."""


class TenantUnusable(TenantError):
    """405 (API not enabled), a TLS failure or a redirect: nothing will work until it is mended."""


class NotEnabled(TenantUnusable):
    """405: the API is not enabled for this tenant."""


class Redirected(TenantUnusable):
    """The tenant answers from another address; redirects are not followed."""


class NotTrusted(TenantUnusable):
    """The TLS handshake failed: no certificate, or none that is trusted."""


class NotServed(TenantError):
    """One way to a batch's file leads nowhere; another may be tried."""


class TooLarge(TenantError):
    """A download has more bytes than the configuration lets through."""


class NotReady(TenantError):
    """The tenant did not mark a batch as transferred, because it is not ready to."""
