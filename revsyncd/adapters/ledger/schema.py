"""The ledger's tables, as migrations in order: `PRAGMA user_version` says how many have run.

A migration is never edited after a release; a new one is appended. A ledger with more migrations
than this release knows was written by a newer one and is refused.
"""

import sqlite3

from revsyncd.core.errors import RefusedToStart

FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

CREATE TABLE drops (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    folder TEXT NOT NULL,
    file TEXT NOT NULL, -- as a JSON string in ASCII: names need not be UTF-8
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    template_name TEXT NOT NULL,
    sha256 TEXT,
    settled_at REAL,
    correction_of TEXT,
    data TEXT NOT NULL
) STRICT;
CREATE INDEX drops_open ON drops (open) WHERE open = 1;
CREATE INDEX drops_state ON drops (state, settled_at);
CREATE INDEX drops_file ON drops (file);
CREATE INDEX drops_identity ON drops (sha256, template_name, tenant);
CREATE INDEX drops_corrections ON drops (correction_of) WHERE correction_of IS NOT NULL;

CREATE TABLE parts (
    drop_id TEXT NOT NULL REFERENCES drops (id),
    part INTEGER NOT NULL,
    state TEXT NOT NULL,
    tenant TEXT NOT NULL,
    template_name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (drop_id, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX parts_identity ON parts (sha256, template_name, tenant);
CREATE INDEX parts_state ON parts (state) WHERE state IN ('released', 'accepted');

CREATE TABLE findings (drop_id TEXT PRIMARY KEY, problems TEXT NOT NULL) STRICT;

CREATE TABLE history (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    drop_id TEXT,
    part INTEGER,
    event TEXT NOT NULL,
    facts TEXT NOT NULL,
    chain TEXT NOT NULL
) STRICT;
CREATE INDEX history_drop ON history (drop_id) WHERE drop_id IS NOT NULL;
CREATE TRIGGER history_is_never_replaced BEFORE INSERT ON history
WHEN EXISTS (SELECT 1 FROM history WHERE n = NEW.n)
BEGIN SELECT RAISE(ABORT, 'the history is only ever appended to'); END;
CREATE TRIGGER history_is_never_changed BEFORE UPDATE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only ever appended to'); END;
CREATE TRIGGER history_is_never_deleted BEFORE DELETE ON history
BEGIN SELECT RAISE(ABORT, 'the history is only ever appended to'); END;

CREATE TABLE mappings (
    tenant TEXT NOT NULL,
    template_name TEXT NOT NULL,
    fetched_at REAL NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant, template_name)
) STRICT;

CREATE TABLE conditions (
    kind TEXT NOT NULL,
    scope TEXT NOT NULL,
    lasting INTEGER NOT NULL,
    since REAL NOT NULL,
    message TEXT NOT NULL,
    hint TEXT NOT NULL,
    facts TEXT NOT NULL,
    PRIMARY KEY (kind, scope)
) STRICT;

CREATE TABLE requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    who TEXT NOT NULL,
    verb TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    answered_at REAL,
    done INTEGER,
    answer TEXT
) STRICT;

CREATE TABLE stage_errors (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    state TEXT NOT NULL,
    drop_id TEXT,
    data TEXT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
) STRICT;
CREATE INDEX stage_errors_drop ON stage_errors (drop_id) WHERE drop_id IS NOT NULL;
"""

# Each issue of a general-ledger batch: never removed, so that none is delivered twice in silence.
GL_BATCHES = """
CREATE TABLE gl_batches (
    tenant TEXT NOT NULL,
    batch TEXT NOT NULL,
    issue INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_at REAL NOT NULL,
    target TEXT, -- the path of its file below the root, once it is chosen
    data TEXT NOT NULL,
    PRIMARY KEY (tenant, batch, issue)
) STRICT, WITHOUT ROWID;
CREATE INDEX gl_batches_state ON gl_batches (tenant, state, changed_at);
CREATE INDEX gl_batches_target ON gl_batches (target) WHERE target IS NOT NULL;
"""

# The keys of staged records, where a folder remembers them.
REMEMBERED = """
CREATE TABLE remembered (
    folder TEXT NOT NULL,
    key BLOB NOT NULL, -- the hash of a unique key of a staged record, see revsyncd.checks.remembered
    at REAL NOT NULL,
    PRIMARY KEY (folder, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX remembered_at ON remembered (folder, at);
"""

# Each scrape of the metrics counts the open ones; those gone are kept for ever.
OPEN_STAGE_ERRORS = """
CREATE INDEX stage_errors_open ON stage_errors (tenant, drop_id) WHERE state = 'open';
"""

MIGRATIONS = (FIRST, GL_BATCHES, REMEMBERED, OPEN_STAGE_ERRORS)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables to this release's form, each migration in a transaction of its own.

    Raises RefusedToStart when a newer release wrote the ledger.
    """
    version = _version(connection)
    for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {number}; COMMIT;"
        )


def require_current(connection: sqlite3.Connection) -> None:
    """For those who only read. Raises RefusedToStart unless the tables have this release's form."""
    version = _version(connection)
    if version < len(MIGRATIONS):
        raise RefusedToStart(
            f"the ledger has schema {version}, this release needs {len(MIGRATIONS)}",
            hint="Start the daemon of this release once (`revsyncd run`): it brings it up to date.",
        )


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise RefusedToStart(
            f"the ledger has schema {version}, this release knows up to {len(MIGRATIONS)}",
            hint="Install the release that wrote it, or a newer one; a downgrade is not possible.",
        )
    return int(version)
