"""A stand-in for the tenant, rebuilt from its documentation alone: a real server on the loopback.

It signs clients in, takes uploads, stages them, puts lines in error, gives GL batches out, and has
verbs for trouble: tokens that expire, refusals, stalls, cut answers, resets at any byte of a body.
It keeps every accepted body, so that what arrived can be compared with what was sent.

::

    async with serve(Settings(id_in=IdIn.MESSAGE)) as tenant:
        tenant.trouble.add("reset", on="/v1/upload/file", at="stored")
        ...
        [upload] = await tenant.uploads_concluded(1)
        assert upload.content.read_bytes() == sent

The parts: `server` (connections) > `visit` (one call, trouble) and `control` > `sign_in`, `inbound`,
`outbound` (handlers) > `tenant` > `world` (pure state), `prestage`, `rules`, `journal`, `multipart`.
"""

from .server import run, serve
from .settings import EmptyResult, Framing, IdIn, KeyCase, NoErrors, NotKnown, Settings
from .templates import Column, Kind, Template, Type
from .tenant import Tenant
from .trouble import At, Trouble, Verb
from .uploads import State, Upload, Words
from .world import World

__all__ = [
    "At",
    "Column",
    "EmptyResult",
    "Framing",
    "IdIn",
    "KeyCase",
    "Kind",
    "NoErrors",
    "NotKnown",
    "Settings",
    "State",
    "Template",
    "Tenant",
    "Trouble",
    "Type",
    "Upload",
    "Verb",
    "Words",
    "World",
    "run",
    "serve",
]
