import inspect
from collections.abc import Callable

import pytest
from drops import a_drop, drop_id

from revsyncd.core import endings
from revsyncd.core.drop import Checked, Ending, Reason, State

STAGED = Ending(Reason.STAGED, "10 records staged in 1 upload")
HELD = Ending(Reason.DUPLICATE, "dropped before", "say so")

EVERY: dict[str, tuple[Callable[[], Ending], Reason]] = {
    "invalid": (lambda: endings.invalid(2, {"cell.number": 2}, 9), Reason.INVALID),
    "unusable_manifest": (lambda: endings.unusable_manifest("no JSON"), Reason.INCOMPLETE),
    "empty": (lambda: endings.empty("fail"), Reason.EMPTY),
    "empty, held": (lambda: endings.empty("hold"), Reason.EMPTY),
    "empty, done": (lambda: endings.empty("done"), Reason.EMPTY),
    "cut": (lambda: endings.cut({"file.final_newline": 1}), Reason.INCOMPLETE),
    "no_companion": (lambda: endings.no_companion("marker", ".ok"), Reason.INCOMPLETE),
    "changed_while_sent": (endings.changed_while_sent, Reason.INCOMPLETE),
    "damaged": (lambda: endings.damaged("p002.csv is gone"), Reason.CANNOT_SEND),
    "damaged_again": (lambda: endings.damaged_again(11, "p002.csv"), Reason.CANNOT_SEND),
    "duplicate": (
        lambda: endings.duplicate(a_drop(2), a_drop(1), held=True),
        Reason.DUPLICATE,
    ),
    "not_a_file": (lambda: endings.not_a_file("a FIFO"), Reason.NOT_A_FILE),
    "unreadable": (lambda: endings.unreadable(0o100600, "erp", "erp"), Reason.UNREADABLE),
    "missing": (endings.missing, Reason.UNREADABLE),
    "too_large": (lambda: endings.too_large(11, 10), Reason.TOO_LARGE),
    "cannot_send": (lambda: endings.cannot_send(11, "reset"), Reason.CANNOT_SEND),
    "cancelled": (lambda: endings.cancelled("wrong month", "anna"), Reason.CANCELLED),
    "stopping": (lambda: endings.stopping(endings.invalid(1, {"x": 1}, 2)), Reason.INVALID),
    "rejected": (
        lambda: endings.rejected(HELD, "wrong", "anna", some_staged=False),
        Reason.RESOLVED,
    ),
    "with_rejects": (lambda: endings.with_rejects(STAGED, 2), Reason.STAGED_WITH_ERRORS),
    "with_stage_errors": (
        lambda: endings.with_stage_errors(STAGED, STAGED, 1),
        Reason.STAGED_WITH_ERRORS,
    ),
}


@pytest.mark.parametrize(("make", "reason"), EVERY.values(), ids=EVERY)
def test_every_ending_has_a_message_and_a_next_step(
    make: Callable[[], Ending], reason: Reason
) -> None:
    """Whoever reads the report learns what happened and what to do, in one line each."""
    ending = make()
    assert ending.reason is reason
    for words in (ending.message, ending.next_step):
        assert words
        assert "\n" not in words
        assert "  " not in words


def test_no_ending_is_left_out_here() -> None:
    """A new ending must be tried by the test above."""
    made = {name for name, _ in inspect.getmembers(endings, inspect.isfunction)}
    ours = {n for n in made if not n.startswith("_") and n not in ("replace", "shown")}
    assert ours - {"when_staged", "written_on"} == {name.split(",")[0] for name in EVERY}


@pytest.mark.parametrize(
    "make",
    [
        lambda: endings.invalid(2, {"cell.number": 2}, 9),
        lambda: endings.empty("fail"),
        lambda: endings.cut({"file.final_newline": 1}),
        lambda: endings.no_companion("marker", ".ok"),
        lambda: endings.duplicate(a_drop(2), a_drop(1), held=True),
        lambda: endings.too_large(11, 10),
        lambda: endings.cancelled("wrong month", "anna"),
    ],
)
def test_what_was_not_sent_says_so(make: Callable[[], Ending]) -> None:
    """The first question of an accountant is whether anything was posted."""
    assert make().message.endswith("nothing was sent")


def test_problems_are_counted_by_code() -> None:
    """The message gives the size of the trouble before anybody opens the list."""
    ending = endings.invalid(1_201, {"cell.number": 1_200, "cell.date": 1}, 50_000)
    assert ending.message.startswith(
        "1,201 problems in 50,000 records (1 cell.date, 1,200 cell.number)"
    )
    assert endings.invalid(1, {"cell.date": 1}, 2).message.startswith("1 problem in")


@pytest.mark.parametrize(
    ("by_code", "words"),
    [
        ({"file.final_newline": 1}, "it does not end with a line end"),
        ({"file.unterminated_quote": 1, "cell.date": 2}, "a quoted cell is still open at its end"),
        ({"file.final_newline": 1, "file.unterminated_quote": 1}, "end and a quoted cell"),
        ({"record.fields": 1}, "its last record has too few fields"),
    ],
)
def test_a_cut_file_says_by_what_it_was_known(by_code: dict[str, int], words: str) -> None:
    """The signs of a cut transfer are told in words, not in codes."""
    assert words in endings.cut(by_code).message


def test_an_open_quote_can_not_be_sent_on_a_word() -> None:
    """No word makes the file readable, so none is offered."""
    assert "--send" not in endings.cut({"file.unterminated_quote": 1}).next_step
    assert "final_newline" not in endings.cut({"record.fields": 1}).next_step


def test_a_cut_file_with_other_problems_points_to_them() -> None:
    """A workbook called .csv ends without a line end, too."""
    ending = endings.cut({"file.final_newline": 1, "file.encoding": 1200})
    assert "found more (1,200)" in ending.message
    assert "<file>.errors.csv first" in ending.next_step


def test_in_a_stopping_folder_the_correction_gets_its_name() -> None:
    """What remains has a name that tells it; a whole file has not."""
    invalid = endings.invalid(1, {"cell.date": 1}, 2)
    assert "<file>.rejects.csv" in endings.stopping(invalid).next_step
    refused = Ending(Reason.PARTLY_REFUSED, "refused", "Drop <file>.remaining.csv.")
    assert endings.stopping(refused) == refused


def test_a_duplicate_names_the_earlier_drop() -> None:
    """Where it is and what became of it, its name shown safely."""
    earlier = a_drop(1, file="a\nb.csv", state=State.DONE, folder="events")
    held = endings.duplicate(a_drop(2), earlier, held=True)
    assert rf"as a\nb.csv (drop {drop_id(1)}, folder events, now done)" in held.message
    assert "`revsyncd resolve DROP --send`" in held.next_step
    failed = endings.duplicate(a_drop(2), earlier, held=False)
    assert failed.next_step.startswith("Nothing to do.")
    assert "revsyncd resolve" not in failed.next_step


@pytest.mark.parametrize("earlier", [None, a_drop(2)])
def test_equal_parts_are_told_as_such(earlier: object) -> None:
    """A file that repeats itself is not called a repetition of another."""
    known = earlier if earlier is None else a_drop(2)
    ending = endings.duplicate(a_drop(2), known, held=True)
    assert ending.message.startswith("two parts of the file have the same content")


def test_an_unreadable_file_shows_mode_owner_and_group() -> None:
    """As `ls` would, so that whoever mends it knows what to mend: the mode, or else the group."""
    private = endings.unreadable(0o100600, "erp", "erps")
    assert "read the file (mode 0600, owner erp, group erps)" in private.message
    assert "`chmod g+r`" in private.next_step
    foreign = endings.unreadable(0o100640, "erp", "erps", "its manifest")
    assert "read its manifest (mode 0640" in foreign.message
    assert "the service is not in erps: run `chgrp`" in foreign.next_step
    assert "chmod g+r" not in foreign.next_step


def test_giving_up_tells_what_it_was_held_for() -> None:
    """The reason, who said it, and the message before."""
    ending = endings.rejected(HELD, "sent by mail", "anna", some_staged=False)
    assert ending.message == "given up by anna: sent by mail; it was held: dropped before"
    assert endings.rejected(None, "old", "bob", some_staged=False).message == "given up by bob: old"


def test_giving_up_with_some_staged_points_to_what_remains() -> None:
    """Dropping the whole file again would post the staged part twice."""
    ending = endings.rejected(HELD, "x", "anna", some_staged=True)
    assert "<file>.remaining.csv" in ending.next_step


@pytest.mark.parametrize(
    "reason",
    [Reason.IN_DOUBT, Reason.COUNT_MISMATCH, Reason.UNCONFIRMED, Reason.STATUS_TIMEOUT],
)
@pytest.mark.parametrize("some_staged", [False, True])
def test_giving_up_a_doubt_warns_of_what_may_be_there(reason: Reason, *, some_staged: bool) -> None:
    """A word that ends a doubt without removing it must not lead to a second posting."""
    ending = endings.rejected(Ending(reason, "lost"), "x", "anna", some_staged=some_staged)
    assert ending.next_step.startswith("Some of it may be at the tenant: look there before")


def test_without_rejects_an_ending_stays() -> None:
    """Nothing left out, nothing to add."""
    assert endings.with_rejects(STAGED, 0) == STAGED


@pytest.mark.parametrize(("number", "words"), [(1, "1 record was"), (1200, "1,200 records were")])
def test_rejects_are_counted(number: int, words: str) -> None:
    """Records left out by us make a done drop one with errors."""
    ending = endings.with_rejects(STAGED, number)
    assert ending.message == f"{STAGED.message}; {words} left out as faulty"
    assert "<file>.rejects.csv" in ending.next_step


def test_a_drop_that_a_person_called_arrived_says_whose_word_it_is() -> None:
    """Not the tenant but a named person vouches for it."""
    drop = a_drop(resolved={"verb": "arrived", "by": "anna"}, checked=Checked(records=10))
    ending = endings.when_staged(drop, STAGED)
    assert (ending.reason, ending.message) == (
        Reason.RESOLVED,
        f"{STAGED.message}, on the word of anna",
    )


@pytest.mark.parametrize("verb", ["send", "not-arrived"])
def test_a_drop_sent_on_a_word_is_staged_on_the_tenants(verb: str) -> None:
    """Where the tenant itself says staged, no person has to vouch."""
    drop = a_drop(resolved={"verb": verb, "by": "anna"})
    assert endings.when_staged(drop, STAGED) == STAGED


def test_what_was_left_out_is_told_with_any_word() -> None:
    """A person's word about the others does not hide the rejects."""
    drop = a_drop(
        resolved={"verb": "arrived", "by": "anna"}, checked=Checked(records=3, rejected=((2, 2),))
    )
    ending = endings.when_staged(drop, STAGED)
    assert ending.reason is Reason.STAGED_WITH_ERRORS
    assert "on the word of anna; 1 record was left out" in ending.message


@pytest.mark.parametrize(
    ("number", "words"), [(1, "1 line is in error"), (2_000, "2,000 lines are in error")]
)
def test_lines_in_error_are_counted(number: int, words: str) -> None:
    """A done drop with open lines says how many and what to do with them."""
    ending = endings.with_stage_errors(STAGED, STAGED, number)
    assert ending.message == f"{STAGED.message}; {words} at the tenant"
    assert ending.next_step == (
        "Delete these lines in the tenant's Inbound, then correct and drop <file>.rejects.csv."
    )


def test_lines_in_error_do_not_hide_rejects() -> None:
    """Both next steps stand there, the tenant's first."""
    left_out = endings.with_rejects(STAGED, 2)
    ending = endings.with_stage_errors(left_out, left_out, 3)
    assert "2 records were left out as faulty; 3 lines are in error" in ending.message
    assert ending.next_step.startswith("Delete these lines")
    assert ending.next_step.endswith(left_out.next_step)


def test_gone_errors_leave_the_ending_as_it_was() -> None:
    """When the last line in error is gone, the drop is what it would have been without."""
    open_ = endings.with_stage_errors(STAGED, STAGED, 3)
    assert endings.with_stage_errors(open_, STAGED, 0) == STAGED


@pytest.mark.parametrize("reason", [Reason.IN_DOUBT, Reason.PARTLY_REFUSED, Reason.DUPLICATE])
def test_held_and_failed_drops_keep_their_ending(reason: Reason) -> None:
    """Lines in error of a drop that is not done are listed, but are not its reason."""
    ending = Ending(reason, "as it is", "as it was")
    assert endings.with_stage_errors(ending, STAGED, 3) == ending


def test_what_was_written_on_is_told_whatever_the_ending() -> None:
    """Reason and words stay; that something was added comes to the message and first of the steps."""
    ending = endings.cancelled("wrong period", "anna")
    told = endings.written_on(ending)
    assert told.reason is ending.reason
    assert told.message == f"{ending.message}; the file was written to after it was checked"
    assert told.next_step.endswith(ending.next_step)
    assert told.next_step.startswith("What was added stands in no part")
