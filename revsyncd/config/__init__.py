"""The configuration: a TOML file read into frozen values, with every problem reported at once."""

from revsyncd.config.listen import Listen
from revsyncd.config.load import DEFAULT_PATH, config_path, load, load_mapping
from revsyncd.config.model import (
    Answers,
    CheckSettings,
    Config,
    CsvSettings,
    Folder,
    GlSettings,
    HttpSettings,
    KeySettings,
    LogSettings,
    StageErrorSettings,
    TenantSettings,
)
from revsyncd.config.secrets import Secret, SecretKind, SecretRef, resolve

__all__ = [
    "DEFAULT_PATH",
    "Answers",
    "CheckSettings",
    "Config",
    "CsvSettings",
    "Folder",
    "GlSettings",
    "HttpSettings",
    "KeySettings",
    "Listen",
    "LogSettings",
    "Secret",
    "SecretKind",
    "SecretRef",
    "StageErrorSettings",
    "TenantSettings",
    "config_path",
    "load",
    "load_mapping",
    "resolve",
]
