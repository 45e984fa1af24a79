"""What an accepted upload's status says: staged, refused, in doubt, or nothing yet."""

from revsyncd.core.answer_numbers import row_ids, staged_counts
from revsyncd.core.answer_words import AnswerWords, Match, says_nothing_is_known
from revsyncd.core.answers import Answer, Fields, Form, Reading, Tone, narrowed, one_line, read
from revsyncd.core.verdict import Following, StatusReading

_FOLLOWING = {
    Match.STAGED: Following.STAGED,
    Match.REFUSED: Following.REFUSED,
    Match.DOUBT: Following.IN_DOUBT,
    Match.NOTHING: Following.NOT_YET,
}


def judge_status(
    answer: Answer,
    words: AnswerWords,
    *,
    request_id: int | str,
    records: int,
) -> StatusReading:
    """Read one look at a status; `records` is how many were sent. Takes 200, 204 and 400 (and 404).

    A 400 that names no row of ours means "no records found": about the question, not the upload.
    """
    reading = read(answer)
    if reading.form not in (Form.JSON, Form.TEXT):
        return StatusReading(Following.NOT_YET)
    ours, others = _divided(reading.rows, request_id)
    if says_nothing_is_known(reading.words) or (others and not ours):
        return StatusReading(Following.NOT_YET, reading.message)
    if not answer.is_2xx and not ours:
        return StatusReading(Following.NOT_YET, reading.message)
    reading = narrowed(reading, ours) if ours else reading
    found = _judged(reading, words)
    if found.following is not Following.STAGED:
        return found
    return _counted(reading, found.message, request_id, records)


def _divided(
    rows: tuple[Fields, ...], request_id: int | str
) -> tuple[tuple[Fields, ...], tuple[Fields, ...]]:
    """Rows that name our id, and rows that name another; those that name none are neither."""
    named = tuple(zip(rows, row_ids(rows), strict=True))
    ours = tuple(row for row, found in named if str(found) == str(request_id))
    others = tuple(row for row, found in named if found is not None and row not in ours)
    return ours, others


def _judged(reading: Reading, words: AnswerWords) -> StatusReading:
    match, message = words.match(reading.words), reading.message
    if match is Match.NOTHING and (match := words.match(reading.logs)) is not Match.NOTHING:
        message = _telling(words, reading.logs, match) or message
    if match is Match.STAGED and reading.status_tone is Tone.ERROR:
        match = Match.DOUBT  # "staged" under an error: a person must look
    return StatusReading(_FOLLOWING[match], message)


def _telling(words: AnswerWords, logs: tuple[str, ...], match: Match) -> str:
    """The line of the log that decided."""
    return next((line for line in logs if words.match([line]) is match), "")


def _counted(reading: Reading, message: str, request_id: int | str, records: int) -> StatusReading:
    found = staged_counts([*reading.words, *reading.logs])
    counts = [count for count in found if str(count) != str(request_id)]
    if not counts or records in counts or sum(counts) == records:
        return StatusReading(Following.STAGED, message)
    told = f"{message}; it speaks of {counts[0]:,} records, {records:,} were sent"
    return StatusReading(Following.COUNT_MISMATCH, one_line(told))
