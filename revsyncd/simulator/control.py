"""The control path: what tests and people ask of the simulator itself, beside the tenant's API.

::

    GET    {control_url}/state                   everything accepted and seen, as JSON
    GET    {control_url}/wait?uploads=2&within=10  the same, once the counts are reached; 504 if not
    GET    {control_url}/uploads/{id}/content    the bytes that were accepted, exactly
    POST   {control_url}/trouble                 {"verb": …}: see `VERBS` below and `trouble`
    DELETE {control_url}/trouble                 end all trouble
"""

import json
from collections.abc import Callable
from typing import Any

from .answers import Answer, plain
from .call import Call, number
from .journal import READY, Packing
from .tenant import CONTROL, Tenant
from .uploads import State, Words

_LIMIT = 1 << 20
_WAIT_DEFAULT = 30.0
_WAIT_LIMIT = 600.0

COUNTS: dict[str, Callable[[Tenant], int]] = {
    "uploads": lambda tenant: len(tenant.world.uploads),
    "staged": lambda tenant: len(tenant.world.staged),
    "refused": lambda tenant: len(tenant.world.in_state(State.REFUSED)),
    "uploads_in_flight": lambda tenant: tenant.world.counts.uploads_in_flight,
    "stage_errors": lambda tenant: len(tenant.world.stage_errors),
    "sign_ins": lambda tenant: tenant.world.counts.sign_ins,
    "troubles_met": lambda tenant: tenant.trouble.met,
}


async def answer(tenant: Tenant, call: Call) -> Answer:
    """Answer a call whose path is below the control path."""
    rest = call.path.removeprefix(CONTROL)
    try:
        match call.method, rest.split("/")[1:]:
            case "GET", ["state"]:
                return plain(tenant.state())
            case "GET", ["wait"]:
                return await _wait(tenant, call.query)
            case "GET", ["uploads", request_id, "content"]:
                return _content(tenant, request_id)
            case "POST", ["trouble"]:
                return plain({"done": perform(tenant, _object(call))})
            case "DELETE", ["trouble"]:
                return plain({"done": tenant.trouble.clear()})
    except (ValueError, KeyError) as error:
        return plain({"error": str(error)}, 400)
    return plain({"error": f"no {call.method} {rest} here"}, 404)


def _object(call: Call) -> dict[str, Any]:
    """The JSON object in the body."""
    value = json.loads(call.body.read(_LIMIT))
    if not isinstance(value, dict):
        raise ValueError('the body is not a JSON object like {"verb": "expire_tokens"}')  # noqa: TRY004  (answered as 400 with the rest)
    return value


def _content(tenant: Tenant, request_id: str) -> Answer:
    upload = tenant.world.uploads.get(number(request_id) or 0)
    if upload is None:
        return plain({"error": f"no upload {request_id}"}, 404)
    return Answer(200, content_type="application/octet-stream", file=upload.content)


async def _wait(tenant: Tenant, query: dict[str, str]) -> Answer:
    """The state once every count in the query is reached."""
    within = min(float(query.pop("within", _WAIT_DEFAULT)), _WAIT_LIMIT)
    if unknown := sorted(set(query) - set(COUNTS)):
        raise ValueError(f"{', '.join(unknown)}: no such count; there are {', '.join(COUNTS)}")
    wanted = {name: int(count) for name, count in query.items()}
    try:
        await tenant.seen(
            lambda now: all(COUNTS[name](now) >= count for name, count in wanted.items()),
            within=within,
        )
    except TimeoutError:
        return plain(tenant.state(), 504)
    return plain(tenant.state())


def perform(tenant: Tenant, data: dict[str, Any]) -> object:
    """Carry out a verb; ValueError says what is wrong with it."""
    rest = dict(data)
    verb = rest.pop("verb", None)
    if not isinstance(verb, str) or verb not in VERBS:
        return tenant.trouble.from_json(data).to_json()
    takes, act = VERBS[verb]
    if takes is not None:
        _check(verb, rest, takes)
    return act(tenant, rest)


def _check(verb: str, given: dict[str, Any], takes: dict[str, type]) -> None:
    """Every key is one that the verb takes, and of its type."""
    for key, value in given.items():
        if key not in takes:
            raise ValueError(f"{verb}: no such key {key!r}; there are {', '.join(takes) or 'none'}")
        if type(value) is not takes[key]:
            raise ValueError(f"{verb}: {key} is {value!r}, not a {takes[key].__name__}")


def _expire_tokens(tenant: Tenant, _data: dict[str, Any]) -> object:
    return tenant.tokens.expire_all()


def _hold_uploads(tenant: Tenant, _data: dict[str, Any]) -> None:
    tenant.world.hold_staging()


def _release_uploads(tenant: Tenant, _data: dict[str, Any]) -> None:
    tenant.world.release_staging()


def _refuse_upload(tenant: Tenant, data: dict[str, Any]) -> None:
    words = _words(data, refused=True)
    tenant.world.say_of_upload(words, data.get("nth", 1))


def _say_of_upload(tenant: Tenant, data: dict[str, Any]) -> None:
    words = _words(data, refused=False)
    tenant.world.say_of_upload(words, data.get("nth", 1))


def _words(data: dict[str, Any], *, refused: bool) -> Words:
    return Words(refused, data.get("message", ""), data.get("file_log", ""))


def _delete_lines(tenant: Tenant, data: dict[str, Any]) -> object:
    return tenant.world.delete_lines(data.get("line_ids"))


def _add_batch(tenant: Tenant, data: dict[str, Any]) -> object:
    batch = tenant.world.journal.add(
        data.get("lines", 10),
        balanced=data.get("balanced", True),
        status=data.get("status", READY),
        packing=Packing(data.get("packing", "plain")),
        name=data.get("name", ""),
    )
    return batch.to_json()


def _reissue_batch(tenant: Tenant, data: dict[str, Any]) -> object:
    return tenant.world.journal.reissue(data["batch"], data.get("lines")).to_json()


def _configure(tenant: Tenant, data: dict[str, Any]) -> None:
    tenant.configure(**data)


def _clear(tenant: Tenant, _data: dict[str, Any]) -> object:
    return tenant.trouble.clear()


Act = Callable[[Tenant, dict[str, Any]], object]
_WORDS = {"nth": int, "message": str, "file_log": str}

# What a person may do at the tenant, by verb: the keys it takes with their types, and the deed.
VERBS: dict[str, tuple[dict[str, type] | None, Act]] = {
    "expire_tokens": ({}, _expire_tokens),
    "hold_uploads": ({}, _hold_uploads),  # upload/file is accepted, but not staged until released
    "release_uploads": ({}, _release_uploads),
    "refuse_upload": (_WORDS, _refuse_upload),  # the nth from now, with these words
    "say_of_upload": (_WORDS, _say_of_upload),  # the same, but it is staged
    "delete_lines": ({"line_ids": list}, _delete_lines),  # lines in error; without ids all
    "add_batch": (
        {"lines": int, "balanced": bool, "status": str, "packing": str, "name": str},
        _add_batch,
    ),
    "reissue_batch": ({"batch": int, "lines": int}, _reissue_batch),
    "configure": (None, _configure),  # any of `Settings`
    "clear": ({}, _clear),  # end all trouble, stalls included
}
