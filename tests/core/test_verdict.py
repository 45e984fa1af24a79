import json
from typing import Any

import pytest

from revsyncd.core.answer_words import AnswerWords
from revsyncd.core.answers import Answer, Cause, NoAnswer
from revsyncd.core.status_reading import judge_status
from revsyncd.core.verdict import TABLE, Following, Judgement, Route, Verdict, judge_upload

WORDS = AnswerWords.of()
PAGE = b"<html><title>Bad Gateway</title></html>"
RECEIVED = {"status": "Success", "message": "File received successfully"}
WITH_ID = {**RECEIVED, "result": {"file_request_id": 10001}}
REFUSED = {"status": "Error", "message": "Header does not match"}
DOUBTFUL = {"status": "Error", "message": "Exception occurred while loading"}
STAGED = {"status": "Success", "message": "Data Staged Successfully", "result": {"id": 5}}
LOAD_ERROR = {"status": "Error", "message": "Error loading Data into Staging Area"}
NAME_TAKEN = {"status": "Error", "message": "File name 'orders.csv' already exists"}
NO_TEMPLATE = {"status": "Error", "message": "Template not found"}


def judge(
    route: Route, status: int, body: Any = b"", *, released: bool = True, **more: Any
) -> Judgement:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return judge_upload(route, Answer(status, body=raw, **more), WORDS, released=released)


FILE, CSV = Route.FILE, Route.CSV
V = Verdict


@pytest.mark.parametrize(
    ("route", "status", "body", "before", "after"),
    [
        # An id is followed, whatever the status.
        (FILE, 200, WITH_ID, V.ACCEPTED, V.ACCEPTED),
        (FILE, 400, {**REFUSED, "result": {"file_request_id": 7}}, V.ACCEPTED, V.ACCEPTED),
        (FILE, 500, {"result": [{"file_request_id": 7}]}, V.ACCEPTED, V.ACCEPTED),
        (FILE, 200, b"File received successfully, request id 7", V.ACCEPTED, V.ACCEPTED),
        (FILE, 400, {"status": "Error", "message": "failed, id 7"}, V.REFUSED, V.REFUSED),
        # csv/upload answers for itself.
        (CSV, 200, STAGED, V.IN_DOUBT, V.STAGED),
        (
            CSV,
            200,
            {"Status": "success", "Result": {"status": "Successfully Uploaded"}},
            V.IN_DOUBT,
            V.STAGED,
        ),
        (
            CSV,
            200,
            {"status": "Success", "result": {"id": 5, "message": "Data Received"}},
            V.IN_DOUBT,
            V.ACCEPTED,
        ),
        (CSV, 200, {"status": "Queued", "result": {"id": 5}}, V.IN_DOUBT, V.ACCEPTED),
        (CSV, 400, {**LOAD_ERROR, "result": {"id": 5}}, V.REFUSED, V.REFUSED),
        (CSV, 200, LOAD_ERROR, V.REFUSED, V.REFUSED),
        (
            CSV,
            200,
            {"status": "Error", "message": "Data was not staged successfully"},
            V.RETRY,
            V.IN_DOUBT,
        ),
        # Refusals in the tenant's words.
        (FILE, 400, REFUSED, V.REFUSED, V.REFUSED),
        (FILE, 413, b"Request too large", V.REFUSED, V.REFUSED),
        (FILE, 415, REFUSED, V.REFUSED, V.REFUSED),
        (FILE, 422, {"reasons": [{"message": "bad"}]}, V.REFUSED, V.REFUSED),
        (FILE, 200, REFUSED, V.REFUSED, V.REFUSED),
        (FILE, 200, {"message": "Upload failed"}, V.REFUSED, V.REFUSED),
        (FILE, 400, DOUBTFUL, V.RETRY, V.IN_DOUBT),
        (FILE, 200, DOUBTFUL, V.RETRY, V.IN_DOUBT),
        (CSV, 400, {"message": "Exception occurred: not staged successfully"}, V.RETRY, V.IN_DOUBT),
        # The name is taken: by an earlier try of the same part, which may have arrived.
        (CSV, 400, NAME_TAKEN, V.IN_DOUBT, V.IN_DOUBT),
        (FILE, 200, NAME_TAKEN, V.IN_DOUBT, V.IN_DOUBT),
        # The same statuses without the tenant's words.
        (FILE, 400, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 413, PAGE, V.RETRY, V.IN_DOUBT),
        (FILE, 400, b'{"status":"Err', V.RETRY, V.IN_DOUBT),
        (FILE, 400, {"code": 17}, V.RETRY, V.IN_DOUBT),
        # Contradictions.
        (FILE, 400, RECEIVED, V.RETRY, V.IN_DOUBT),
        (FILE, 200, {"status": "Success", "message": "load failed"}, V.IN_DOUBT, V.IN_DOUBT),
        # Not taken, whatever had been sent.
        (FILE, 400, NO_TEMPLATE, V.PAUSE_FOLDER, V.PAUSE_FOLDER),
        (CSV, 200, NO_TEMPLATE, V.PAUSE_FOLDER, V.PAUSE_FOLDER),
        (FILE, 401, b"", V.SIGN_IN, V.SIGN_IN),
        (FILE, 401, PAGE, V.SIGN_IN, V.SIGN_IN),
        (FILE, 403, PAGE, V.PAUSE_FOLDER, V.PAUSE_FOLDER),
        (FILE, 404, b"", V.PAUSE_FOLDER, V.PAUSE_FOLDER),
        (FILE, 405, b"", V.PAUSE_TENANT, V.PAUSE_TENANT),
        (FILE, 429, PAGE, V.WAIT, V.WAIT),
        (FILE, 301, PAGE, V.PAUSE_TENANT, V.PAUSE_TENANT),
        (FILE, 307, b"", V.PAUSE_TENANT, V.PAUSE_TENANT),
        (FILE, 308, b"", V.PAUSE_TENANT, V.PAUSE_TENANT),
        # Received, but not to be followed.
        (FILE, 200, RECEIVED, V.IN_DOUBT, V.UNCONFIRMED),
        (FILE, 202, b"File received successfully", V.IN_DOUBT, V.UNCONFIRMED),
        (CSV, 200, {"status": "Success", "message": "Data Received"}, V.IN_DOUBT, V.UNCONFIRMED),
        # Anything else.
        (FILE, 200, PAGE, V.RETRY, V.IN_DOUBT),
        (FILE, 200, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 204, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 200, b"\x00\x01", V.RETRY, V.IN_DOUBT),
        (FILE, 200, {"status": "Queued"}, V.RETRY, V.IN_DOUBT),
        (FILE, 302, PAGE, V.RETRY, V.IN_DOUBT),
        (FILE, 303, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 408, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 409, REFUSED, V.RETRY, V.IN_DOUBT),
        (FILE, 500, REFUSED, V.RETRY, V.IN_DOUBT),
        (CSV, 500, STAGED, V.RETRY, V.IN_DOUBT),
        (FILE, 502, PAGE, V.RETRY, V.IN_DOUBT),
        (FILE, 503, b"", V.RETRY, V.IN_DOUBT),
        (FILE, 101, b"", V.RETRY, V.IN_DOUBT),
    ],
)  # fmt: skip  (a table is read by its lines)
def test_an_answer_is_judged_before_and_after_the_last_chunk(
    route: Route, status: int, body: Any, before: Verdict, after: Verdict
) -> None:
    """Each row of the table of trouble holds on both sides of the last chunk."""
    assert judge(route, status, body, released=False).verdict is before
    assert judge(route, status, body, released=True).verdict is after


@pytest.mark.parametrize("cause", list(Cause))
def test_silence_is_safe_before_the_last_chunk_and_doubtful_after_it(cause: Cause) -> None:
    """Without an answer only the last chunk decides; a TLS failure needs a person."""
    before = judge_upload(FILE, NoAnswer(cause, "x"), WORDS, released=False)
    after = judge_upload(FILE, NoAnswer(cause, "x"), WORDS, released=True)
    assert before.verdict is (V.PAUSE_TENANT if cause is Cause.TLS else V.RETRY)
    assert after.verdict is V.IN_DOUBT
    assert cause.value in before.message
    assert cause.value in after.message


def test_a_cut_answer_counts_only_as_far_as_it_proves_itself() -> None:
    """A status line is whole when it came; words are not when the body was cut."""
    assert judge(FILE, 400, b"Header does n", complete=False).verdict is V.IN_DOUBT
    assert judge(FILE, 400, REFUSED, complete=False).verdict is V.REFUSED
    assert judge(FILE, 200, WITH_ID, complete=False).verdict is V.ACCEPTED
    assert judge(FILE, 404, b"", complete=False).verdict is V.PAUSE_FOLDER


def test_the_tenants_words_are_the_message() -> None:
    """A refusal is told in the tenant's words, anything else by what was seen."""
    assert judge(FILE, 400, REFUSED).message == "Header does not match"
    told = judge(FILE, 502, PAGE).message
    assert told == ("the last chunk went out and nothing definite came back (HTTP 502, a web page)")


def test_a_judgement_carries_what_the_next_step_needs() -> None:
    """The id, the pause asked for, a hint and the tracking ids come along."""
    headers = {"retry-after": "30", "zuora-request-id": "r-1"}
    waiting = judge(FILE, 429, headers=headers)
    assert (waiting.retry_after, waiting.tracking) == (30, "zuora-request-id=r-1")
    assert judge(FILE, 200, WITH_ID).request_id == 10001
    assert "Zuora Support" in judge(FILE, 405).hint
    assert "privileges" in judge(FILE, 403).hint
    assert "template_name" in judge(FILE, 400, NO_TEMPLATE).hint


def test_the_tables_last_row_always_fits_and_is_in_doubt() -> None:
    """What no row knows is never taken for safe."""
    assert TABLE[-1].verdict is V.IN_DOUBT
    for released in (True, False):
        judgement = judge(CSV, 599, {"status": "?"}, released=released)
        assert judgement.verdict is (V.IN_DOUBT if released else V.RETRY)


F = Following


def follow(status: int, body: Any = b"", records: int = 500) -> Following:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer(status, body=raw)
    return judge_status(answer, WORDS, request_id=10001, records=records).following


def row(log: str = "", number: object = 10001, **more: object) -> dict[str, object]:
    return {"file_request_id": number, "file_log": log, **more}


@pytest.mark.parametrize(
    ("status", "body", "following"),
    [
        (
            200,
            {"status": "Success", "message": "Data Staged Successfully", "Result": [row()]},
            F.STAGED,
        ),
        (
            200,
            {"status": "Success", "Message": "Data staged successfully", "result": "None"},
            F.STAGED,
        ),
        (
            200,
            {"status": "success", "result": {"id": 10001, "status": "Successfully Uploaded"}},
            F.STAGED,
        ),
        (
            200,
            {
                "status": "Success",
                "message": "Data Staged Successfully",
                "Result": [row("120 staged, 3 failed")],
            },
            F.COUNT_MISMATCH,
        ),
        (
            200,
            {
                "status": "Success",
                "message": "Data Staged Successfully",
                "Result": [row("500 staged, 0 failed")],
            },
            F.STAGED,
        ),
        (
            200,
            {"status": "Success", "message": "Data Staged Successfully: 1,500 records"},
            F.COUNT_MISMATCH,
        ),
        (
            200,
            {
                "status": "Success",
                "message": "Data Staged Successfully",
                "Result": [row("200 rows loaded\n300 rows loaded")],
            },
            F.STAGED,
        ),
        (200, {"status": "Success", "message": "Request 10001 staged successfully"}, F.STAGED),
        (200, b"Data Staged Successfully", F.STAGED),
        # The log speaks only where status and message say nothing.
        (
            200,
            {"status": "Success", "message": "", "Result": [row("Data Staged Successfully")]},
            F.STAGED,
        ),
        (200, {"status": "Success", "Result": [row("line 7\nError loading Data")]}, F.REFUSED),
        (
            200,
            {
                "status": "Error",
                "message": "Error loading",
                "Result": [row("500 staged successfully")],
            },
            F.REFUSED,
        ),
        (200, {"status": "Failed"}, F.REFUSED),
        (200, {"status": "Error", "message": "Exception occurred, load failed"}, F.IN_DOUBT),
        (200, {"status": "Error", "message": "Data Staged Successfully"}, F.IN_DOUBT),
        (400, {"status": "Error", "message": "Error loading", "Result": [row()]}, F.REFUSED),
        # Not known yet.
        (204, b"", F.NOT_YET),
        (200, b"", F.NOT_YET),
        (200, {"status": "Success", "Result": []}, F.NOT_YET),
        (200, {"status": "In Progress", "Result": [row("120 staged, 0 failed")]}, F.NOT_YET),
        (
            200,
            {"status": "Error", "message": "No records found. Logs might have been truncated"},
            F.NOT_YET,
        ),
        (400, {"status": "Error", "message": "Request failed: No records found"}, F.NOT_YET),
        (400, {"status": "Error", "message": "Request failed"}, F.NOT_YET),
        (400, b"", F.NOT_YET),
        (404, {"message": "No data found"}, F.NOT_YET),
        # Another upload's row.
        (
            200,
            {
                "status": "Success",
                "message": "Data Staged Successfully",
                "Result": [row(number=10002)],
            },
            F.NOT_YET,
        ),
        (
            200,
            {"status": "Success", "result": {"id": 7, "status": "Successfully Uploaded"}},
            F.NOT_YET,
        ),
        (
            200,
            {
                "status": "Success",
                "Result": [row("Error loading", 10002), row("Data Staged Successfully", "10001")],
            },
            F.STAGED,
        ),
    ],
)  # fmt: skip  (a table is read by its lines)
def test_a_status_is_followed_by_its_words(status: int, body: Any, following: Following) -> None:
    """Words decide, in their order; what they do not say is not known yet."""
    assert follow(status, body) is following


def test_the_line_of_the_log_that_decided_is_the_message() -> None:
    """Of a long log the accountant sees the line that matters."""
    body = {"status": "Done", "Result": [row("a\nline 7: Error loading x\nb")]}
    answer = Answer(200, body=json.dumps(body).encode())
    reading = judge_status(answer, WORDS, request_id="10001", records=1)
    assert reading.message == "line 7: Error loading x"


def test_a_count_mismatch_names_both_counts() -> None:
    """The report can tell how many were sent and how many the tenant speaks of."""
    body = {"status": "Success", "message": "Data Staged Successfully: 1,499 records"}
    answer = Answer(200, body=json.dumps(body).encode())
    reading = judge_status(answer, WORDS, request_id=1, records=1500)
    assert reading.message.endswith("it speaks of 1,499 records, 1,500 were sent")
