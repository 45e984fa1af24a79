from itertools import combinations_with_replacement

import pytest
from drops import a_part, drop_id, parts_in
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.drop import MOVES, Event, Reason, State
from revsyncd.core.outcome import (
    ABSENCE_TRUSTED_AFTER,
    DOUBTS,
    Decision,
    Follow,
    Send,
    Settle,
    Wait,
    decide,
    staged,
)
from revsyncd.core.part import PART_MOVES, Part, PartState

S = PartState
# Every drop of up to four parts: what decides is which states there are, never their order.
MULTISETS = [
    states for size in range(1, 5) for states in combinations_with_replacement(tuple(S), size)
]


def kind(decision: Decision) -> str:
    """A decision in one word: the event or the kind of step."""
    if isinstance(decision, Settle):
        return str(decision.event)
    return type(decision).__name__.lower()


def expected(states: tuple[PartState, ...], *, in_sequence: bool, timed_out: bool) -> str:
    """The specification, said a second time and otherwise: what must become of such a drop."""
    has = set(states).__contains__
    answers_are_awaited, may_yet_be_known = has(S.RELEASED), has(S.ACCEPTED)
    if answers_are_awaited:
        return "wait"
    if has(S.IN_DOUBT) or (timed_out and may_yet_be_known):
        return str(Event.SET_ASIDE)
    if may_yet_be_known and (has(S.REFUSED) or in_sequence or not has(S.PLANNED)):
        return "follow"
    if has(S.REFUSED):
        return str(Event.REFUSED)
    return "send" if has(S.PLANNED) else str(Event.ALL_STAGED)


@pytest.mark.parametrize("in_sequence", [False, True])
@pytest.mark.parametrize("timed_out", [False, True])
def test_every_small_drop_is_decided_rightly(*, in_sequence: bool, timed_out: bool) -> None:
    """For every combination of up to four part states the decision is the specified one."""
    for states in MULTISETS:
        decision = decide(parts_in(*states), in_sequence=in_sequence, timed_out=timed_out)
        specified = expected(states, in_sequence=in_sequence, timed_out=timed_out)
        assert kind(decision) == specified, states


@given(
    states=st.lists(st.sampled_from(S), min_size=1, max_size=12),
    in_sequence=st.booleans(),
    timed_out=st.booleans(),
)
def test_the_promise_holds_for_every_drop(
    *, states: list[PartState], in_sequence: bool, timed_out: bool
) -> None:
    """Only planned parts go, nothing goes after a refusal or a doubt, and done means all staged."""
    parts = parts_in(*states)
    match decide(parts, in_sequence=in_sequence, timed_out=timed_out):
        case Send(chosen):
            assert chosen
            assert {p.state for p in chosen} == {S.PLANNED}
            assert not {S.REFUSED, S.IN_DOUBT, S.RELEASED} & set(states)
            assert not in_sequence or list(chosen) == [p for p in parts if p.state is S.PLANNED][:1]
        case Settle(Event.ALL_STAGED):
            assert set(states) == {S.STAGED}
        case Settle(Event.REFUSED):
            assert not {S.RELEASED, S.ACCEPTED, S.IN_DOUBT} & set(states)
        case Settle(Event.SET_ASIDE, ending):
            assert (S.IN_DOUBT in states) is (ending.reason in DOUBTS)
        case Follow():
            assert S.ACCEPTED in states
        case Wait():
            assert S.RELEASED in states


@given(
    states=st.lists(st.sampled_from(S), min_size=1, max_size=12),
    in_sequence=st.booleans(),
    timed_out=st.booleans(),
    data=st.data(),
)
def test_the_order_of_states_decides_nothing(
    *, states: list[PartState], in_sequence: bool, timed_out: bool, data: st.DataObject
) -> None:
    """The same states in another order lead to the same step."""
    other = data.draw(st.permutations(states))
    assert kind(decide(parts_in(*states), in_sequence=in_sequence, timed_out=timed_out)) == kind(
        decide(parts_in(*other), in_sequence=in_sequence, timed_out=timed_out)
    )


@given(count=st.integers(1, 6), in_sequence=st.booleans(), data=st.data())
def test_a_random_life_ends_as_its_answers_say(
    *, count: int, in_sequence: bool, data: st.DataObject
) -> None:
    """Whatever is answered in whatever order: no part starts after a refusal or doubt, each life ends."""
    parts = parts_in(*[S.PLANNED] * count)
    while True:
        decision = decide(parts, in_sequence=in_sequence, timed_out=False)
        if isinstance(decision, Settle):
            break
        stopped = {S.REFUSED, S.IN_DOUBT} & {p.state for p in parts}
        if isinstance(decision, Send):
            assert not stopped
            chosen = data.draw(st.sampled_from(decision.parts))
            parts = changed(parts, chosen, S.RELEASED)
            continue
        open_ = [p for p in parts if p.state in (S.RELEASED, S.ACCEPTED)]
        chosen = data.draw(st.sampled_from(open_))
        answers = sorted(PART_MOVES[chosen.state] - {S.PLANNED})
        parts = changed(parts, chosen, data.draw(st.sampled_from(answers)))
    assert_told_truly(decision, {p.state for p in parts})


def changed(parts: list[Part], part: Part, state: PartState) -> list[Part]:
    return [p.become(state) if p is part else p for p in parts]


def assert_told_truly(settled: Settle, states: set[PartState]) -> None:
    event = settled.event
    assert (event is Event.SET_ASIDE) is (S.IN_DOUBT in states)
    assert (event is Event.ALL_STAGED) is (states == {S.STAGED})
    assert event in MOVES[State.SENDING]


def can_stand(state: State, states: set[PartState]) -> bool:
    """Whether a drop in this state can have parts in these."""
    if state is State.CHECKED:  # taken back by a person: something is still to be sent
        return S.PLANNED in states and S.RELEASED not in states
    if state is State.ACCEPTED:
        return not {S.PLANNED, S.RELEASED} & states
    return True


@pytest.mark.parametrize("state", [State.CHECKED, State.SENDING, State.ACCEPTED, State.HELD])
def test_every_ending_is_one_that_the_drop_knows(state: State) -> None:
    """A drop with parts, wherever it stands with them, can always be settled as was decided."""
    for states in [multiset for multiset in MULTISETS if can_stand(state, set(multiset))]:
        decision = decide(parts_in(*states), in_sequence=False, timed_out=False)
        event = decision.event if isinstance(decision, Settle) else None
        stays_held = state is State.HELD and event is Event.SET_ASIDE
        assert event is None or stays_held or event in MOVES[state], (state, states)


def test_a_drop_without_parts_is_never_called_staged() -> None:
    """Where nothing was sent, nothing can have been staged."""
    with pytest.raises(ValueError, match="without parts"):
        decide([], in_sequence=False, timed_out=False)


def test_a_timeout_concerns_only_what_is_followed() -> None:
    """A drop whose last answer came in just before its time-out ends as that answer says."""
    decision = decide(parts_in(S.STAGED, S.STAGED), in_sequence=False, timed_out=True)
    assert kind(decision) == Event.ALL_STAGED


def ending(parts: list[Part], *, timed_out: bool = False) -> tuple[Reason, str, str]:
    """Reason, message and next step of parts that settle."""
    decision = decide(parts, in_sequence=False, timed_out=timed_out)
    assert isinstance(decision, Settle)
    return decision.ending.reason, decision.ending.message, decision.ending.next_step


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "10 records staged in 1 upload"), (2, "20 records staged in 2 uploads")],
)
def test_a_staged_drop_says_how_much_in_how_many_uploads(number: int, words: str) -> None:
    """The message counts records and uploads."""
    reason, message, step = ending(parts_in(*[S.STAGED] * number))
    assert (reason, message, step) == (Reason.STAGED, words, "")


def test_one_record_is_one_record() -> None:
    """Large numbers have their commas, one has no plural."""
    assert staged([a_part(state=S.STAGED, ranges=((1, 1),))]).message.startswith("1 record staged")
    many = a_part(state=S.STAGED, ranges=((1, 50_210),))
    assert staged([many]).message.startswith("50,210 records staged")


def test_a_refused_drop_gives_the_tenants_words() -> None:
    """With nothing staged the whole file is dropped again."""
    parts = [a_part(1, 2, S.REFUSED, message="Error loading: bad date"), a_part(2, 2)]
    reason, message, step = ending(parts)
    assert reason is Reason.REFUSED
    assert message == "the tenant refused upload 1 of 2: Error loading: bad date"
    assert "drop the whole file again; nothing of it was taken" in step


def test_a_partly_refused_drop_points_to_what_remains() -> None:
    """With something staged, dropping the whole file again would post it twice."""
    parts = [a_part(1, 3, S.STAGED), a_part(2, 3, S.REFUSED, message="no"), a_part(3, 3)]
    reason, message, step = ending(parts)
    assert reason is Reason.PARTLY_REFUSED
    assert message.endswith("10 records of the file are staged")
    assert "<file>.remaining.csv" in step
    assert "Do not drop the whole file" in step


def test_a_doubt_says_what_to_look_for_and_how_long_to_wait() -> None:
    """The uploaded name, the time, the count, and when absence may be trusted stand in the next step."""
    lost = a_part(1, 2, S.IN_DOUBT, message="no answer", released_at=1_795_409_252.0)
    reason, message, step = ending([lost, a_part(2, 2, S.STAGED)])
    assert reason is Reason.IN_DOUBT
    assert message == "upload 1 of 2 left without a definite answer: no answer"
    assert "orders.p001of002.csv, released at 2026-11-23 04:47:32 UTC, 10 records" in step
    assert ABSENCE_TRUSTED_AFTER == 3600
    assert "absent after 2026-11-23 05:47:32 UTC" in step
    assert "`revsyncd resolve DROP --arrived`" in step
    assert "`revsyncd resolve DROP --not-arrived`" in step


def test_all_doubtful_uploads_have_to_be_looked_for() -> None:
    """A person's word is about every doubtful part, so the next step names each of them."""
    first = a_part(1, 3, S.IN_DOUBT, message="reset", released_at=1_795_409_252.0)
    second = a_part(3, 3, S.IN_DOUBT, message="cut", released_at=1_795_409_312.0)
    _, message, step = ending([first, a_part(2, 3, S.STAGED), second])
    assert "upload 1 of 3" in message
    assert "upload 3 of 3" in message
    assert "p001of003.csv, released at 2026-11-23 04:47:32" in step
    assert "p003of003.csv, released at 2026-11-23 04:48:32" in step
    assert "absent after 2026-11-23 05:48:32 UTC" in step
    assert "p002of003" not in step


def test_a_count_that_differs_names_both_numbers() -> None:
    """The tenant's words and the records sent stand beside each other."""
    part = a_part(
        1, 1, S.IN_DOUBT, doubt=Reason.COUNT_MISMATCH, message="9 staged", request_id=10001
    )
    reason, message, step = ending([part])
    assert reason is Reason.COUNT_MISMATCH
    assert message == "upload 1 of 1 sent 10 records, but the tenant says: 9 staged"
    assert "request 10001" in step


@pytest.mark.parametrize("others", [(), (Reason.IN_DOUBT,)])
def test_a_missing_request_id_names_its_key(others: tuple[Reason, ...]) -> None:
    """Who never gets request ids learns of the key that takes the tenant's word."""
    reasons = (Reason.UNCONFIRMED, *others)
    parts = [a_part(n, 2, S.IN_DOUBT, doubt=why) for n, why in enumerate(reasons, start=1)]
    assert '`tenant.without_id = "done"`' in ending(parts)[2]


@pytest.mark.parametrize(
    ("doubts", "reason"),
    [
        ((Reason.UNCONFIRMED, Reason.COUNT_MISMATCH, Reason.IN_DOUBT), Reason.IN_DOUBT),
        ((Reason.UNCONFIRMED, Reason.COUNT_MISMATCH), Reason.COUNT_MISMATCH),
        ((Reason.UNCONFIRMED, None), Reason.IN_DOUBT),
    ],
)
def test_of_several_doubts_the_gravest_is_the_reason(
    doubts: tuple[Reason | None, ...], reason: Reason
) -> None:
    """Not knowing whether it arrived is graver than not knowing how much, or under which id."""
    parts = [a_part(n, 3, S.IN_DOUBT, doubt=why) for n, why in enumerate(doubts, start=1)]
    assert ending(parts)[0] is reason


def test_a_timeout_names_every_request() -> None:
    """What is still followed can be found in the tenant by its ids."""
    parts = [a_part(n, 3, S.ACCEPTED, request_id=10000 + n) for n in (1, 2)]
    reason, message, step = ending([*parts, a_part(3, 3, S.STAGED)], timed_out=True)
    assert reason is Reason.STATUS_TIMEOUT
    assert "request 10001, 10002," in message
    assert "keeps asking" in step


def test_every_ending_but_staged_has_a_next_step() -> None:
    """Whoever finds a file that is not done is told what to do."""
    for states in MULTISETS:
        for timed_out in (False, True):
            decision = decide(parts_in(*states), in_sequence=False, timed_out=timed_out)
            if isinstance(decision, Settle):
                settled = decision.ending
                assert bool(settled.next_step) is (settled.reason is not Reason.STAGED)
                assert drop_id(1) not in settled.next_step
