import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.answer_numbers import request_id, staged_counts
from revsyncd.core.answer_words import (
    AnswerWords,
    Match,
    says_name_is_taken,
    says_nothing_is_known,
    says_template_is_unknown,
)
from revsyncd.core.answers import Answer, Fields, Form, Reading, Tone, one_line, read, without_urls


def understood(body: Any, **more: Any) -> Reading:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(Answer(200, body=raw, **more))


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (b"", Form.EMPTY),
        (b" \r\n", Form.EMPTY),
        (b"\xef\xbb\xbf{}", Form.JSON),
        (b"[]", Form.JSON),
        (b'"Data Staged Successfully"', Form.TEXT),
        (b"File received", Form.TEXT),
        (b"[ERROR] the file is too large", Form.TEXT),
        (b"  <!DOCTYPE html><title>Down for maintenance</title>", Form.HTML),
        (b"<html><body>x", Form.HTML),
        (b"<?xml version='1.0'?><html/>", Form.HTML),
        (b"<Error><Message>no</Message></Error>", Form.UNREADABLE),
        (b'{"status":"Succ', Form.UNREADABLE),
        (b"\x00\x01\x02", Form.UNREADABLE),
        (b"[" * 100_000, Form.UNREADABLE),
        (b'{"id":' + b"9" * 5000 + b"}", Form.UNREADABLE),
    ],
)
def test_the_form_of_a_body_is_known(body: bytes, form: Form) -> None:
    """JSON, words, a web page, nothing and rubbish are told apart by the body itself."""
    assert understood(body).form is form


def test_a_cut_text_is_unreadable_but_whole_json_is_not() -> None:
    """What came of a cut answer counts only where it proves itself whole."""
    assert understood(b"File recei", complete=False).form is Form.UNREADABLE
    assert understood(b"", complete=False).form is Form.UNREADABLE
    assert understood({"status": "Success"}, complete=False).form is Form.JSON


def test_a_pages_title_is_its_message() -> None:
    """Of a web page only the title is worth telling."""
    page = b"<html><head><title>Scheduled\n maintenance</title></head></html>"
    assert understood(page).message == "Scheduled maintenance"


def test_keys_are_found_in_any_spelling() -> None:
    """Case, underscores, hyphens and blanks make no other key, and the first value stays."""
    fields = Fields({"File_Request_ID": None, "fileRequestId": 7, "Message": "a", "message": "b"})
    assert fields.text("file_request_id") == "7"
    assert fields.text("MESSAGE") == "a"
    assert fields.first("result", "none") is None


@pytest.mark.parametrize("nothing", ["None", "null", "", None, [], {}])
def test_an_empty_result_is_none(nothing: Any) -> None:
    """The tenant's many ways to say nothing are one."""
    reading = understood({"status": "Success", "result": nothing})
    assert (reading.rows, reading.message) == ((), "Success")


@pytest.mark.parametrize(
    "body",
    [
        {"message": "no way"},
        {"Message": "no way"},
        {"error": "no way"},
        {"error_description": "no way"},
        {"error": {"message": "no way"}},
        {"reasons": [{"code": 5, "message": "no way"}]},
        {"result": "no way"},
        {"result": {"message": "no way"}},
        {"Result": [{"Message": "no way"}]},
        {"result": '{"message": "no way"}'},
        ["no way"],
        [{"message": "no way"}],
    ],
)
def test_the_message_is_found_wherever_it_stands(body: Any) -> None:
    """Error text has many places in the tenant's answers."""
    assert understood(body).message == "no way"


def test_windows_text_keeps_its_umlauts() -> None:
    """A plain text that is not UTF-8 is read as what such servers write."""
    assert understood("Datei ungültig".encode("cp1252")).message == "Datei ungültig"


@pytest.mark.parametrize(
    ("body", "tone"),
    [
        ({"status": "success"}, Tone.SUCCESS),
        ({"Status": "SUCCESS"}, Tone.SUCCESS),
        ({"success": True}, Tone.SUCCESS),
        ({"success": False}, Tone.ERROR),
        ({"status": "Error", "message": "File received successfully"}, Tone.ERROR),
        ({"message": "File received successfully"}, Tone.SUCCESS),
        ({"error": "invalid_client"}, Tone.ERROR),
        ({"status": "Queued"}, Tone.NEITHER),
        ({"a": 1}, Tone.NEITHER),
    ],
)
def test_the_status_word_sets_the_tone(body: Any, tone: Tone) -> None:
    """The status decides; the words only where there is none."""
    assert understood(body).tone is tone


@pytest.mark.parametrize(
    "body",
    [
        {"status": "Success", "result": {"file_request_id": 10001, "file_name": "a.p001of003.csv"}},
        {"Status": "Success", "Result": [{"File_Request_Id": "10001"}]},
        {"status": "Success", "file_request_id": 10001, "id": 3},
        {"status": "Success", "result": {"request_id": 10001.0}},
        {"status": "Success", "result": {"id": 10001, "client_id": 7}},
        {"status": "Success", "result": 10001},
        {"status": "Success", "result": "10001"},
        {"status": "Success", "result": '{"file_request_id": 10001}'},
        {"message": "File received successfully. File Request Id: 10001"},
        {"message": "Received 1200 records of 3 files, request id is 10001."},
        {"message": "File orders.01J8.p001of003.csv received successfully (10001)"},
        {"message": "20261123.01J8.p001of003.csv received on 2026-11-23 at 10:15, id=10001"},
        {"message": "client id 7: file received, id 10001"},
        {"message": "File received successfully 10001"},
        [{"status": "Success", "file_request_id": 10001}],
        b"File received successfully, request 10001",
    ],
)
def test_the_request_id_is_found_wherever_it_is(body: Any) -> None:
    """Under result, at the top, in a list, in a string or in the words: it is the same id."""
    assert request_id(understood(body), success=True) == 10001


@pytest.mark.parametrize(
    "body",
    [
        {"message": "Received 1200 records successfully"},
        {"message": "Received 1,200 records successfully"},
        {"message": "1200 rows and 60 columns received"},
        {"message": "received 3 of 3"},
        {"message": "received 100% of the file"},
        {"message": "200 OK"},
        {"message": "File 20261123.csv received at 10:15:00 on 23.11.2026"},
        {"message": "Received as 17 and as 18"},
        {"message": "request 17, request 18"},
        {"message": "client id 12 received"},
        {"message": "File received successfully", "result": {"file_request_id": 0}},
        {"message": "File received successfully", "result": {"file_request_id": True}},
        {"message": "received", "result": [{"file_request_id": 1}, {"file_request_id": 2}]},
        {"message": "received", "id": "4bf92f35-77b3"},
        {"message": "File received successfully", "result": "None"},
        {"client_id": 5, "message": "received"},
        b"",
    ],
)
def test_no_other_number_is_taken_for_the_id(body: Any) -> None:
    """Counts, dates, names, other ids and contradictions are no request id."""
    assert request_id(understood(body), success=True) is None


def test_numbers_in_the_words_of_an_error_are_no_ids() -> None:
    """An error's words may hold any number; its keys still count."""
    assert request_id(understood({"message": "Error id 500"}), success=False) is None
    assert request_id(understood({"result": {"file_request_id": "A-17"}}), success=False) == "A-17"


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("1,200 records staged", [1200]),
        ("1.200 rows were successfully loaded", [1200]),
        ("1200 Records have been staged successfully", [1200]),
        ("120 staged, 0 failed", [120]),
        ("Staged: 120", [120]),
        ("Records loaded = 1 200", [1200]),
        ("Data Staged Successfully. 499 records", [499]),
        ("Data Staged Successfully (500 rows)", [500]),
        ("500 lines loaded, 499 staged", [499]),
        ("Data Staged Successfully", []),
        ("500 records received", []),
        ("Request 10001 staged successfully", []),
        ("request id: 10001 staged", []),
        ("Batch #12 loaded", []),
        ("Staged 2026-11-23 10:15", []),
        ("Data staged successfully for request 10001", []),
        ("orders.p001of003.csv loaded", []),
        ("staged in 12 seconds", []),
    ],
)
def test_only_counts_of_staged_records_are_counts(text: str, counts: list[int]) -> None:
    """A number counts only where it plainly says how many records were staged or loaded."""
    assert staged_counts([text]) == counts


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Data Staged Successfully", Match.STAGED),
        ("Successfully Uploaded", Match.STAGED),
        ("data staged successfully, 3 rejected before", Match.STAGED),
        ("Error loading Data into Staging Area", Match.REFUSED),
        ("Exception occurred, load failed", Match.DOUBT),
        ("120 staged, 0 failed", Match.NOTHING),
        ("no records rejected; errors: 0", Match.NOTHING),
        ("10 failed", Match.REFUSED),
        ("In Progress", Match.NOTHING),
    ],
)
def test_the_configured_words_are_tried_in_order(text: str, match: Match) -> None:
    """Staged comes first, then doubt, then refused; a count of none is no failure."""
    assert AnswerWords.of().match([text]) is match


@pytest.mark.parametrize(
    "text",
    [
        "Template not found",
        "Template 'Orders' does not exist",
        "Invalid template name",
        "Upload template Orders is invalid",
        "No such template",
        "unknown upload template",
        "The template could not be found",
    ],
)
def test_an_unknown_template_is_understood(text: str) -> None:
    """The ways of saying that a template does not exist are known."""
    assert says_template_is_unknown([text])


@pytest.mark.parametrize(
    "text",
    [
        "Template column Curr not found",
        "Invalid template header",
        "The file does not match the template",
        "Record not found",
    ],
)
def test_a_bad_file_is_no_unknown_template(text: str) -> None:
    """A file that does not fit its template says nothing about the template's existence."""
    assert not says_template_is_unknown([text])


@pytest.mark.parametrize(
    "text",
    [
        "File name 'orders.01J.p001of001.csv' already exists",
        "The filename orders.csv has already been used",
        "file_name must be unique",
        "FileName is not unique",
        "Duplicate file name orders.csv",
        "File orders.p001of002.csv already exists",
        "File already uploaded",
        "The file orders.csv has already been processed",
    ],
)
def test_a_taken_name_is_understood(text: str) -> None:
    """The ways of saying that an upload of this name is there already are known."""
    assert says_name_is_taken([text])


@pytest.mark.parametrize(
    "text",
    [
        "Invoice line id 7 already exists",
        "File rejected: contract C-1 already exists",
        "Duplicate line id in file orders.csv",
        "File name is missing",
        "File name must end with .csv",
    ],
)
def test_a_bad_record_is_no_taken_name(text: str) -> None:
    """What is said of records says nothing about the upload's name."""
    assert not says_name_is_taken([text])


@pytest.mark.parametrize(
    "text",
    ["No records found. Logs might have been truncated", "No Data Found", "No Records Found"],
)
def test_not_known_is_understood(text: str) -> None:
    """Both of the reference's sentences for "no row" are known."""
    assert says_nothing_is_known([text])
    assert not says_nothing_is_known(["Data Staged Successfully"])


def test_foreign_text_becomes_one_short_line() -> None:
    """No newline, control byte or endless text comes through."""
    assert one_line("a\r\nb\x1b[31m\tc") == "a b [31m c"
    assert len(one_line("x" * 10_000)) == 500


def test_tracking_ids_are_kept() -> None:
    """The tenant's own ids of a call are what its support asks for."""
    answer = Answer(500, {"zuora-request-id": "r1", "zuora-track-id": "t1"})
    assert answer.tracking == "zuora-request-id=r1 zuora-track-id=t1"
    assert Answer(500).tracking == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=20,
)


@given(body=st.binary(max_size=300) | json_values.map(lambda v: json.dumps(v).encode()))
def test_no_body_makes_reading_break(body: bytes) -> None:
    """Whatever a server sends, reading it raises nothing."""
    reading = understood(body)
    request_id(reading, success=True)
    staged_counts([*reading.words, *reading.logs])
    assert "\n" not in reading.message


def test_no_address_is_left_in_the_tenants_words() -> None:
    """Neither with a scheme nor without one: a signed address is a secret as a whole."""
    told = "try https://host/a?X=1 or host/k?X-Amz-Signature=abc now"
    assert without_urls(told) == "try (an address) or (an address) now"
