"""What the tenant says: JSON with the key case, the place of ids and the empty results of its settings."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .settings import EmptyResult, Framing, IdIn, KeyCase, NoErrors, NotKnown, Settings
from .uploads import CLIENT_ID, State, Upload

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; with `file` the body is that file's content."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()
    file: Path | None = None
    framing: Framing = Framing.LENGTH


def plain(value: object, status: int = 200) -> Answer:
    """JSON exactly as given."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace"))


def said(settings: Settings, value: dict[str, Any], status: int = 200) -> Answer:
    """JSON with the tenant's key case and a tracking header."""
    answer = plain(_cased(value, settings.key_case), status)
    return Answer(status, answer.body, JSON, (("zuora-request-id", secrets.token_hex(8)),))


def error(settings: Settings, status: int, message: str) -> Answer:
    """An error in the tenant's words."""
    return said(settings, {"status": "Error", "message": message, **_empty(settings)}, status)


def nothing() -> Answer:
    """204."""
    return Answer(204)


def received(settings: Settings, upload: Upload) -> Answer:
    """The answer to upload/file."""
    facts = {"file_request_id": upload.request_id, "file_name": upload.file_name}
    message = "File received successfully"
    return said(settings, _with_id(settings, upload.request_id, facts, message))


def loaded(settings: Settings, upload: Upload) -> Answer:
    """The answer to csv/upload, which answers for itself."""
    if upload.state is State.REFUSED:
        words = {"message": upload.file_log, "status": "Error"}
        facts = {"client_id": CLIENT_ID, "id": upload.request_id, **words}
        return said(settings, {"status": "Error", "message": upload.message, "result": facts}, 400)
    words = {"message": "Data Received", "status": "Successfully Uploaded"}
    facts = {"client_id": CLIENT_ID, "id": upload.request_id, **words}
    return said(settings, _with_id(settings, upload.request_id, facts, upload.message))


def _with_id(
    settings: Settings, request_id: int, facts: dict[str, Any], message: str
) -> dict[str, Any]:
    """An answer with the request id where the settings put it."""
    success = {"status": "Success", "message": message}
    match settings.id_in:
        case IdIn.OBJECT:
            return {**success, "result": facts}
        case IdIn.LIST:
            return {**success, "result": [facts]}
        case IdIn.TOP:
            return {**success, **facts, **success, **_empty(settings)}
        case IdIn.MESSAGE:
            success["message"] = f"{message}. Request id: {request_id}"
            return {**success, **_empty(settings)}
        case IdIn.TEXT:
            return {**success, "result": str(request_id)}
        case IdIn.NONE:
            return {**success, **_empty(settings)}


def file_status(settings: Settings, upload: Upload | None) -> Answer:
    """The answer to fileupload/status."""
    if upload is None or (upload.state is State.RECEIVED and not settings.pending_known):
        return not_known(settings, "No records found. Logs might have been truncated")
    row = {"file_request_id": upload.request_id, "file_log": upload.file_log}
    status = "Error" if upload.state is State.REFUSED else "Success"
    return said(settings, {"status": status, "message": upload.message, "Result": [row]})


def csv_status(settings: Settings, upload: Upload | None) -> Answer:
    """The answer to csv/upload/status."""
    if upload is None or upload.state is State.RECEIVED:
        return not_known(settings, "No data found")
    staged = upload.state is State.STAGED
    words = ("Data Received", "Successfully Uploaded") if staged else (upload.message, "Error")
    row = {"client_id": CLIENT_ID, "id": upload.request_id, "message": words[0], "status": words[1]}
    return said(settings, {"status": "Success" if staged else "Error", "result": row})


def not_known(settings: Settings, words: str) -> Answer:
    """That there is nothing (yet): not a failure."""
    if settings.not_known is NotKnown.NO_CONTENT:
        return nothing()
    return error(settings, 400, words)


def stage_errors(settings: Settings, rows: list[dict[str, object]]) -> Answer:
    """The list of lines in error."""
    if rows:
        return said(settings, {"status": "Success", "Result": rows})
    if settings.no_errors is NoErrors.NO_CONTENT:
        return nothing()
    return said(settings, {"status": "Success", "message": "No Records Found", **_empty(settings)})


def journal_page(settings: Settings, rows: list[dict[str, str]]) -> Answer:
    """A page of a GL batch; the columns are the tenant's own and keep their case."""
    case = settings.key_case
    return plain({_key("status", case): "Success", _key("result", case): rows})


def _empty(settings: Settings) -> dict[str, Any]:
    match settings.empty_result:
        case EmptyResult.NONE:
            return {"result": "None"}
        case EmptyResult.NULL:
            return {"result": None}
        case EmptyResult.ABSENT:
            return {}


def _cased(value: Any, case: KeyCase) -> Any:
    """`value` with all its keys in one case."""
    if case is KeyCase.DOCUMENTED:
        return value
    if isinstance(value, list):
        return [_cased(each, case) for each in value]
    if isinstance(value, dict):
        return {_key(key, case): _cased(each, case) for key, each in value.items()}
    return value


def _key(key: str, case: KeyCase) -> str:
    if case is KeyCase.DOCUMENTED:
        return key
    return key.lower() if case is KeyCase.LOWER else key[:1].upper() + key[1:]
