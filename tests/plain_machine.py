"""The structure pass once more, as plainly as it can be said: one character after the other, no shortcuts."""

from typing import NamedTuple


class PlainRecord(NamedTuple):
    """A record as the machine sees it."""

    number: int
    line: int
    raw: str
    fields: list[str] | None  # None where the record has a fault
    fault: tuple[str, int, int] | None  # kind, line, column


def read(text: str, delimiter: str, limit: int) -> list[PlainRecord]:
    """Every record of a whole file's text, header included."""
    records: list[PlainRecord] = []
    at, line = 0, 1
    while at < len(text):
        end = _line_end(text, at)
        if end - at > limit:
            raw = text[at : end + 1]
            records.append(PlainRecord(len(records), line, raw, None, ("overlong", line, 0)))
        elif text[at:end] in ("", "\r"):
            at, line = end + 1, line + 1
            continue
        else:
            window = text[at : _window_end(text, at, limit)]
            length, fields, fault = _record(window, delimiter, line)
            end = at + length
            raw = text[at : end + 1]
            records.append(PlainRecord(len(records), line, raw, None if fault else fields, fault))
        line += text.count("\n", at, end + 1) or 1
        at = end + 1
    return records


def _line_end(text: str, at: int) -> int:
    while at < len(text) and text[at] != "\n":
        at += 1
    return at


def _window_end(text: str, at: int, limit: int) -> int:
    """Whole lines, as many as the limit has room for."""
    end = _line_end(text, at)
    while end < len(text) and _line_end(text, end + 1) - at <= limit:
        if end + 1 == len(text):
            break
        end = _line_end(text, end + 1)
    return end


def _record(  # noqa: C901, PLR0912  (a machine with its whole table in one place)
    text: str, delimiter: str, line: int
) -> tuple[int, list[str], tuple[str, int, int] | None]:
    fields: list[str] = []
    fault: tuple[str, int, int] | None = None
    state, cell, begin, begin_line, now = "start", "", 0, line, line
    i = 0

    def blame(kind: str) -> None:
        nonlocal fault
        fault = fault or (kind, begin_line, len(fields))

    while True:
        char = text[i] if i < len(text) else ""
        line_ends = char in ("", "\n") or (char == "\r" and text[i + 1 : i + 2] in ("", "\n"))
        if state == "start":
            begin, begin_line, cell = i, now, ""
            state = "quoted" if char == '"' else "plain"
            if state == "quoted":
                i += 1
                continue
        if state == "quoted":
            if char == "":
                blame("unterminated")
                return _line_end(text, begin), fields, fault
            if char == '"' and text[i + 1 : i + 2] == '"':
                cell += '"'
                i += 2
                continue
            if char == '"':
                state = "closed"
                i += 1
                continue
            now += char == "\n"
            cell += char
            i += 1
            continue
        if state == "closed" and not (line_ends or char == delimiter):
            blame("after_quote")
            if "\n" in text[begin:i]:
                run = i - 1
                while run - 1 > begin and text[run - 1] == '"':
                    run -= 1
                if run - 1 > begin and text[run - 1] in (delimiter, "\n"):
                    return _line_end(text, begin), fields, fault
            state = "loose"
        if line_ends:
            fields.append(cell)
            return i + (char == "\r"), fields, fault
        if char == delimiter:
            fields.append(cell)
            state = "start"
        elif state == "plain" and char == '"':
            blame("bare_quote")
        elif state == "plain" and char == "\r":
            blame("bare_quote" if '"' in _rest_of_cell(text, i, delimiter) else "carriage_return")
        cell += char
        i += 1


def _rest_of_cell(text: str, i: int, delimiter: str) -> str:
    rest = ""
    while i < len(text) and text[i] not in (delimiter, "\n"):
        rest += text[i]
        i += 1
    return rest
