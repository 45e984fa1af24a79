"""What the client of the tenant's API has to be told; secrets are asked for at each sign-in."""

from collections.abc import Callable
from dataclasses import dataclass, field

Secret = Callable[[], str]  # resolved anew at each sign-in, so that rotation needs no restart

ONE_ID_TOKEN_URL = "https://one.zuora.com/oauth2/token"  # noqa: S105 (an address, no secret)


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """Where the tenant is and how patiently it is asked; times in seconds."""

    base_url: str  # a path prefix is kept
    connect_timeout: float = 10.0
    read_timeout: float = (
        120.0  # answers to everything but uploads, and one block of an upload to go
    )
    upload_timeout: float = 1800.0  # silence after an upload's last byte
    proxy: str = field(
        default="", repr=False
    )  # may hold a password; the environment's are not used
    ca_file: str = ""  # an extra trust anchor
    probe_template: str = ""  # a template to ask for when the tenant is probed; empty: only sign in

    @property
    def api(self) -> str:
        """The address that all paths of the API are below."""
        return self.base_url.rstrip("/") + "/api/integration"


@dataclass(frozen=True, slots=True)
class TokenCredentials:
    """`auth = "token"`: a user's password, role and client name bring a Revpro-Token."""

    username: Secret
    password: Secret
    role: str
    client_name: str


@dataclass(frozen=True, slots=True)
class OneIdCredentials:
    """`auth = "oneid"`: OAuth 2.0 client credentials bring a bearer token."""

    client_id: Secret
    client_secret: Secret
    token_url: str = ONE_ID_TOKEN_URL


Credentials = TokenCredentials | OneIdCredentials
