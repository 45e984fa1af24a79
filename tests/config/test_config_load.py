import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from itertools import pairwise
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

import pytest

from revsyncd.checks.contract import Dialect, Rules
from revsyncd.config import Config, config_path, load, load_mapping
from revsyncd.core.errors import ConfigError
from revsyncd.core.template import ColumnType, Kind, MappedColumn

MINIMAL = """
root = "/srv/revsync"
state_dir = "/var/lib/revsyncd"
[tenant]
base_url = "https://acme.revprooncloud.com"
username = "env:U"
password = "env:P"
[templates.orders]
template_name = "Transaction Upload"
"""

LITERAL = (
    "must be a reference, never the secret itself; "
    'write "env:NAME", "file:PATH" or "credential:NAME"'
)
NO_DURATION = '"10" is not a duration; write a number and a unit, such as "10s"'
NEEDED = 'is missing; auth = "token" needs it; write username = "env:REVSYNCD_USERNAME"'
STRANGERS = (
    "is missing; 0.0.0.0:9464 can be reached from other hosts: "
    'write token = "file:PATH", or listen on 127.0.0.1 or a unix socket'
)
TOO_MANY = 'upload = "csv" takes at most 20000; write max_records_per_upload = 20000'


class Write(Protocol):
    """Writes a file into the test's directory."""

    def __call__(self, text: str, name: str = "config.toml") -> Path:
        """Returns where it is."""
        ...


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return put


def problems(path: Path, env: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path, env or {})
    return caught.value.problems


def changed(key: str, value: str) -> str:
    """The minimal configuration with one key of its sections set."""
    section, _, name = key.rpartition(".")
    line = f"{name} = {value}\n"
    if not section:
        return line + re.sub(rf"(?m)^{name} = .*\n", "", MINIMAL)
    head = f"[{section}]\n"
    text = re.sub(rf"(?m)^{name} = .*\n", "", MINIMAL) if section == "tenant" else MINIMAL
    return text.replace(head, head + line) if head in text else text + head + line


def test_minimal(write: Write) -> None:
    """Five lines are a configuration; all else has the documented defaults."""
    config = load(write(MINIMAL), {})
    folder = config.templates["orders"]
    assert (folder.name, folder.kind, folder.settle_time) == ("orders", Kind.TRANSACTION, 10.0)
    assert (folder.max_size, folder.status_timeout) == (5_000_000_000, 21_600.0)
    assert config.tenant.upload_timeout == 1800.0
    assert config.stage_errors.watch_for == 35 * 86_400
    assert config.folders == (folder,)


def test_frozen(write: Write) -> None:
    """Nobody can change a configuration once it is read."""
    config = load(write(MINIMAL), {})
    with pytest.raises(FrozenInstanceError):
        config.root = Path("/elsewhere")  # type: ignore[misc]


def test_contract_types(write: Write) -> None:
    """A folder gives the checks what they ask for, in their own terms."""
    text = MINIMAL + (
        '[templates.orders.csv]\ndelimiter = "\\t"\ndecimal = ","\nthousands = "."\n'
        'date_format = "YYYY-MM-DD"\n'
        '[templates.orders.checks]\nrequired = ["Id"]\nallowed.Type = ["SO", ""]\n'
        'levels."revenue.707" = "off"\n'
    )
    folder = load(write(text), {}).folders[0]
    assert folder.dialect() == Dialect(delimiter="\t", decimal=",", thousands=".")
    assert folder.rules() == Rules(
        date_format="YYYY-MM-DD",
        required=("Id",),
        allowed={"Type": ("SO", "")},
        levels={"revenue.707": "off"},
    )


def test_every_problem_at_once(write: Write) -> None:
    """Bad values, unknown keys, missing keys and contradictions are all told in one go."""
    text = """
        root = "here"
        stop_timeut = "3s"
        [tenant]
        base_url = "http://acme.example"
        password = "hunter2"
        [http]
        listen = "0.0.0.0:9464"
        [templates.orders]
        template_name = "Transaction Upload"
        settle_time = "10"
        upload = "csv"
        after = ["evnts"]
        [templates.events]
        review = "yes"
    """
    assert problems(write(text)) == [
        'root: "here" is not an absolute path below /; write it in full, such as "/srv/revsync"',
        'tenant.base_url: "http" would send secrets in the clear; write "https://…"',
        f"tenant.password: {LITERAL}",
        f"templates.orders.settle_time: {NO_DURATION}",
        'templates.events.template_name: is missing; write template_name = "Transaction Upload"',
        'templates.events.review: "yes" is not true or false; write one of them without quotes',
        'stop_timeut: unknown key; did you mean "stop_timeout"?',
        f"tenant.username: {NEEDED}",
        f"templates.orders.max_records_per_upload: {TOO_MANY}",
        'templates.orders.after, entry 1: there is no folder "evnts"; did you mean "events"?',
        f"http.token: {STRANGERS}",
    ]


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("root", "5", "5 is not a string"),
        ("root", '"/"', "absolute path below /"),
        ("state_dir", '"/srv/revsync/state"', "is under root"),
        ("state_dir", '"/srv"', "holds root"),
        ("state_dir", '"/srv/revsync/../revsync"', "is under root"),
        ("timezone", '"Middle/Earth"', "not a time zone"),
        ("timezone", '"/etc/passwd"', "not a time zone"),
        ("stop_timeout", '"0s"', "out of range"),
        ("stop_timeout", '"4000d"', "out of range"),
        ("stop_timeout", '"1.5s"', "not a duration"),
        ("stop_timeout", "45", "45 is not a duration"),
        ("settle_time", '"10s"', "belongs below [templates.<name>]"),
        ("delimiter", '";"', "belongs below [templates.<name>.csv]"),
        ("tenant.stop_timeout", '"1s"', "belongs above the first [section]"),
        ("tenant.base_url", '"acme.revprooncloud.com"', "not a URL of a host"),
        ("tenant.base_url", '"https://acme:port"', "not a URL"),
        ("tenant.base_url", '"https://u:hunter2@acme.com"', "holds credentials"),
        ("tenant.base_url", '"https://acme.com/?x=1"', "query"),
        ("tenant.base_url", '"https://acme.com/api/integration/v1"', "take that off"),
        ("tenant.token_url", '"http://one.zuora.com"', "in the clear"),
        ("tenant.auth", '"oneID"', 'did you mean "oneid"'),
        ("tenant.auth", '"oneid"', "client_id"),
        ("tenant.username", "5", "must be a reference"),
        ("tenant.password", '"vault:x"', "must be a reference"),
        ("tenant.password", '"env:"', "names no place"),
        ("tenant.password", '"credential:../x"', "names no place"),
        ("tenant.max_parallel_uploads", "3", "from 1 to 2"),
        ("tenant.max_parallel_uploads", "true", "from 1 to 2"),
        ("tenant.proxy", '"socks5://proxy:1080"', "not a proxy's URL"),
        ("tenant.proxy", '"http://u:hunter2@proxy:1080"', "holds credentials"),
        ("tenant.role", '"a\\nb"', "control characters"),
        ("tenant.answers", "5", "is not a table"),
        ("tenant.answers.staged", '"done"', "is not a list"),
        ("tenant.answers.staged", '["("]', 'entry 1: "(" is not a regular expression'),
        ("tenant.answers.doubt", '[".*"]', "matches an empty answer"),
        ("tenant.answers.staged", "[]", "nothing would ever count as staged"),
        ("templates.outbox.template_name", '"X"', "root keeps for itself"),
        ('templates."a/b".template_name', '"X"', "no folder name"),
        ("templates.Orders.template_name", '"X"', "only by case"),
        ("templates.orders.name", '"X"', "unknown key"),
        ("templates.orders.remember", '"90d"', "unknown key"),
        ("templates.orders.kind", '"transactions"', 'did you mean "transaction"'),
        ("templates.orders.include", "[]", "matches no file"),
        ("templates.orders.include", '["in/*.csv"]', "one name inside the inbox"),
        ("templates.orders.marker_suffix", '"/ok"', "holds a '/'"),
        ("templates.orders.marker_suffix", '".manifest.JSON"', "make them differ"),
        ("templates.orders.max_records_per_upload", "60001", "from 1 to 60000"),
        ("templates.orders.max_size", '"5G"', "not a size"),
        ("templates.orders.max_size", '"0GB"', "lets no file through"),
        ("templates.orders.max_size", '""', "not a size"),
        ("templates.orders.after", '["orders"]', "circle (orders after orders)"),
        ("templates.orders.mapping", '"nowhere.toml"', "can't be read"),
        ("templates.orders.csv.delimiter", '":"', "is not one of"),
        ("templates.orders.csv.date_format", '"%Y-%m-%d"', 'write a mask such as "DD-MON-YYYY"'),
        ("templates.orders.csv.decimal", '""', "is not one of"),
        ("templates.orders.checks.allowed", '{ Type = "SO" }', "is not a list"),
        ("templates.orders.checks.allowed", '["SO"]', "is not a table"),
        ("templates.orders.checks.levels", '{ "revenue.707" = "warning" }', '"revenue.707": "warning"'),
        ("templates.orders.checks.levels", '{ "revnue" = "warn" }', 'did you mean "revenue"'),
        ("templates.orders.checks.levels", '{ "Cell." = "warn" }', "is no code"),
        ("gl.enabled", "true", "gl.confirm: is missing and has no default"),
        ("gl.confirm", '"at once"', "is not one of"),
        ("log.level", '"loud"', "is not one of"),
    ],
)  # fmt: skip
def test_refused(write: Write, key: str, value: str, words: str) -> None:
    """A value that can't be used is the one problem told, with its remedy and no secret."""
    found = problems(write(changed(key, value)))
    assert all(words in line for line in found[:1]), found
    assert len(found) == (2 if value == '"oneid"' else 1), found
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("key", "value", "read"),
    [
        ("state_dir", '"/srv/revsync-state"', lambda c: c.state_dir == Path("/srv/revsync-state")),
        ("timezone", '"Europe/Berlin"', lambda c: c.zone == ZoneInfo("Europe/Berlin")),
        ("timezone", '"local"', lambda c: c.zone is None),
        ("stop_timeout", '"300ms"', lambda c: c.stop_timeout == pytest.approx(0.3)),
        ("tenant.base_url", '"http://127.0.0.1:8080"', lambda c: ":8080" in c.tenant.base_url),
        ("tenant.base_url", '"http://localhost:1"', lambda c: "localhost" in c.tenant.base_url),
        ("tenant.base_url", '"http://[::1]:1/x"', lambda c: c.tenant.base_url.endswith("]:1/x")),
        ("tenant.base_url", '"https://one.zuora.com/revenue/"', lambda c: c.tenant.base_url == "https://one.zuora.com/revenue"),
        ("tenant.proxy", '"http://proxy:3128"', lambda c: c.tenant.proxy == "http://proxy:3128"),
        ("tenant.proxy", '""', lambda c: c.tenant.proxy is None),
        ("tenant.ca_file", '""', lambda c: c.tenant.ca_file is None),
        ("tenant.ca_file", '"ca.pem"', lambda c: c.tenant.ca_file == c.path.parent / "ca.pem"),
        ("tenant.password", '"file:pw"', lambda c: c.tenant.password.name == str(c.path.parent / "pw")),
        ("tenant.password", '"file:/run/pw"', lambda c: c.tenant.password.name == "/run/pw"),
        ("templates.orders.max_size", '"5GiB"', lambda c: c.folders[0].max_size == 5 * 2**30),
        ("templates.orders.csv.thousands", '" "', lambda c: c.folders[0].csv.thousands == " "),
        ("gl.enabled", "false", lambda c: c.path.name == "config.toml"),
    ],
)  # fmt: skip
def test_taken(write: Write, key: str, value: str, read: Callable[[Config], bool]) -> None:
    """A value that can be used arrives as what it means."""
    assert read(load(write(changed(key, value)), {}))


def test_disabled_gl(write: Write) -> None:
    """A [gl] that is switched off may keep its keys, but no others."""
    off = MINIMAL + '[gl]\nenabled = false\nconfirm = "never"\n'
    assert load(write(off), {}).templates
    assert problems(write(off + "confrim = 1")) == [
        'gl.confrim: unknown key; did you mean "confirm"?'
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ('outbox = "../out"', "no plain path below root"),
        ('outbox = "/srv/out"', "no plain path below root"),
        ('file_name = "GL_{batch_name}.csv"', "{batch_id}"),
        ('file_name = "{batch_id}/x.csv"', "can't name"),
        ('file_name = "{batch_id}{oops}.csv"', "can't name"),
        ('mode = "0755"', "no mode"),
        ('mode = "0440"', "no mode"),
        ('sources = ["reports"]', 'did you mean "report"'),
        ("preamble_lines = -1", "whole number"),
        ('outbox = "orders/inbox"', "gl.outbox: "),
        ('outbox = "Reports/gl"', "gl.outbox: "),
        ("sources = []", "gl.sources: names none"),
        ('sources = ["file", "file"]', "gl.sources: names one twice"),
    ],
)
def test_gl_refused(write: Write, keys: str, problem: str) -> None:
    """Where files must not lie, what can't name or protect them, and which sources are none."""
    (found,) = problems(write(MINIMAL + f'[gl]\nconfirm = "written"\n{keys}\n'))
    assert found.startswith("gl.")
    assert problem in found


def test_gl(write: Write) -> None:
    """Absent, nothing is fetched; present, it is on, and must say when the tenant is told."""
    assert not load(write(MINIMAL), {}).gl.enabled
    config = load(write(MINIMAL + '[gl]\nconfirm = "written"\nmode = "0660"\n'), {})
    assert (config.gl.enabled, config.gl.mode) == (True, 0o660)
    assert config.outbox == config.root / "outbox" / "gl"
    (found,) = problems(write(MINIMAL + "[gl]\n"))
    assert "gl.confirm: is missing and has no default" in found


def test_circle(write: Write) -> None:
    """Folders that wait for one another are named in the order in which they wait."""
    text = changed("templates.orders.after", '["b"]')
    text += '[templates.b]\ntemplate_name = "B"\nafter = ["c"]\n'
    text += '[templates.c]\ntemplate_name = "C"\nafter = ["orders"]\n'
    (found,) = problems(write(text))
    assert re.search(r"circle \((.+)\);", found)
    ring = re.findall(r"orders|\bb\b|\bc\b", found.split("circle")[1])
    follows = {"orders": "b", "b": "c", "c": "orders"}
    assert all(follows[one] == other for one, other in pairwise(ring))


def test_same_template_twice(write: Write) -> None:
    """Two folders may feed one upload template."""
    text = MINIMAL + '[templates.more]\ntemplate_name = "Transaction Upload"\n'
    assert len(load(write(text), {}).folders) == 2


def test_no_folder(write: Write) -> None:
    """A configuration without folders is one that does nothing."""
    text = MINIMAL.partition("[templates")[0]
    assert problems(write(text)) == [
        "templates: no folder is configured; add a section [templates.NAME]"
    ]


def test_empty_file(write: Write) -> None:
    """An empty file lacks what every configuration needs."""
    assert problems(write("")) == [
        "templates: no folder is configured; add a section [templates.NAME]",
        'root: is missing; write root = "/srv/revsync"',
        "tenant: is missing; add the section [tenant]",
    ]


def test_toml_error(write: Write) -> None:
    """What is not TOML is told with file, line and column."""
    path = write('root = "/srv"\nstate_dir = \n')
    assert problems(path) == [f"{path}: line 2, column 13: Invalid value; correct the TOML there"]


def test_not_text(tmp_path: Path) -> None:
    """A file in another encoding, or with a byte order mark, is told so."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'root = "/srv/\xfc"')
    assert "not UTF-8 from byte 14 on" in problems(path)[0]
    path.write_bytes(b"\xef\xbb\xbfroot = 1")
    assert "byte order mark" in problems(path)[0]


def test_no_file(tmp_path: Path) -> None:
    """A missing file is told with the ways to get one."""
    (found,) = problems(tmp_path / "none.toml")
    assert "none.toml: can't be read: No such file" in found
    assert "revsyncd init" in found


def test_hostile_key(write: Write) -> None:
    """A key from outside stays on its line."""
    (found,) = problems(write('"a\\nb" = 1\n' + MINIMAL))
    assert found == r'"a\nb": unknown key; take it out'


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/var/lib/revsyncd/acme:/var/lib/other", "/var/lib/revsyncd/acme"),
        ("", "/var/lib/revsyncd"),
        (None, "/var/lib/revsyncd"),
    ],
)
def test_state_directory(write: Write, given: str | None, expected: str) -> None:
    """Without state_dir, systemd's first state directory is it, else the usual one."""
    path = write(re.sub(r"(?m)^state_dir.*\n", "", MINIMAL))
    env = {} if given is None else {"STATE_DIRECTORY": given}
    assert load(path, env).state_dir == Path(expected)


def test_state_dir_wins(write: Write) -> None:
    """What the file says outweighs the environment."""
    assert load(write(MINIMAL), {"STATE_DIRECTORY": "/x"}).state_dir == Path("/var/lib/revsyncd")


def test_linked_state(write: Write, tmp_path: Path) -> None:
    """A link does not hide that the ledger would lie under the root."""
    (tmp_path / "root" / "state").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "root" / "state")
    text = MINIMAL.replace("/srv/revsync", f"{tmp_path}/root")
    (found,) = problems(write(text.replace("/var/lib/revsyncd", f"{tmp_path}/link")))
    assert "is under root" in found


def test_digest(write: Write, tmp_path: Path) -> None:
    """The digest follows what is in effect, not how or where it is written."""
    first = load(write(MINIMAL), {}).digest
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", first)
    assert load(write(MINIMAL + 'settle_time = "10000ms"'), {}).digest == first
    assert load(write(MINIMAL + "# said", "other.toml"), {}).digest == first
    assert load(write(MINIMAL + 'settle_time = "11s"'), {}).digest != first


def test_config_path() -> None:
    """The option outweighs the environment, which outweighs the usual place."""
    env = {"REVSYNCD_CONFIG": "/b"}
    assert config_path(Path("/a"), env) == Path("/a")
    assert config_path(None, env) == Path("/b")
    assert config_path(None, {}) == Path("/etc/revsyncd/config.toml")


MAPPING = """
date_format = "DD-MON-YYYY"
[[columns]]
label = "Doc Line Id"
name = "DOC_LINE_ID"
type = "character"
[[columns]]
label = "Doc Date"
name = "DOC_DATE"
type = "date"
"""


def test_mapping_file(write: Write) -> None:
    """A mapping file says what the tenant would, in order."""
    mapping = load_mapping(write(MAPPING))
    assert mapping.date_format == "DD-MON-YYYY"
    assert mapping.columns[1] == MappedColumn("Doc Date", "DOC_DATE", ColumnType.DATE)


def test_mapping_beside_config(write: Write) -> None:
    """A relative mapping path starts at the configuration's folder."""
    path = write(MAPPING, "orders.mapping.toml")
    text = changed("templates.orders.mapping", '"orders.mapping.toml"')
    assert load(write(text), {}).folders[0].mapping == path


def test_bad_mapping_beside_config(write: Write) -> None:
    """A mapping file's problems are problems of the configuration that names it."""
    path = write(MAPPING.replace('"date"', '"day"'), "m.toml")
    (found,) = problems(write(changed("templates.orders.mapping", '"m.toml"')))
    place = f"templates.orders.mapping: {path}: columns, entry 2, type"
    assert found == f'{place}: "day" is not one of "character", "number", "date"'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"DD-MON-YYYY"', '""', "date_format: is empty"),
        ('"DD-MON-YYYY"', '"DD-MON"', 'date_format: "DD-MON" is not a mask'),
        ('date_format = "DD-MON-YYYY"', "", "date_format: is missing"),
        ('name = "DOC_DATE"\n', "", "columns, entry 2, name: is missing"),
        ('"Doc Date"', '" doc line ID "', "columns, entry 2, label: the same label"),
        ('"Doc Date"', '""', "columns, entry 2, label: label and name must not be blank"),
        ('"Doc Date"', "7", "columns, entry 2, label: 7 is not a string"),
        ('type = "date"', 'type = "date"\nseq = 2', "columns, entry 2, seq: unknown key"),
        (MAPPING, 'date_format = "YYYYMMDD"\ncolumns = []', "columns: there are none"),
    ],
)
def test_bad_mapping(write: Write, old: str, new: str, words: str) -> None:
    """A mapping file's problem is told with file and place, and not as another."""
    path = write(MAPPING.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_mapping(path)
    (found,) = caught.value.problems
    assert found.startswith(f"{path}: {words}")
