"""The tenant's state, without any network."""

from pathlib import Path

import pytest

from revsyncd.simulator import Kind, Settings, State, Words, World
from revsyncd.simulator.prestage import LineInError, Reading
from revsyncd.simulator.settings import IdIn, configure
from revsyncd.simulator.templates import EVENT_UPLOAD, SMALL_TRANSACTIONS, Template
from revsyncd.simulator.tokens import Tokens, Way
from revsyncd.simulator.uploads import Arrival, Route, Upload


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Seconds since the epoch."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def received(
    world: World, route: Route = Route.FILE, template: Template = SMALL_TRANSACTIONS
) -> Upload:
    request_id = world.next_request_id()
    return world.receive(
        request_id, Arrival(route, template, f"{request_id}.csv", Path("/dev/null"), 1, "0" * 64)
    )


def test_an_upload_is_due_after_the_delay(clock: Clock) -> None:
    """upload/file is staged later, csv/upload answers for itself and never waits."""
    world = World(Settings(staging_delay=5), clock=clock)
    upload = received(world)
    received(world, Route.CSV)
    assert (world.due(), world.next_due()) == ([], clock.now + 5)
    clock.now += 5
    assert world.due() == [upload]
    world.conclude(upload.request_id, Reading(3))
    assert (world.due(), world.next_due()) == ([], None)
    assert world.staged[0].file_log == "3 staged, 0 failed"


def test_held_uploads_wait_for_their_release() -> None:
    """While staging is held nothing is due."""
    world = World()
    received(world)
    world.hold_staging()
    assert (world.due(), world.next_due()) == ([], None)
    world.release_staging()
    assert len(world.due()) == 1


def test_a_refused_upload_puts_no_line_in_error() -> None:
    """All or nothing: refusals win over lines in error."""
    world = World()
    upload = world.conclude(received(world).request_id, Reading(2, ("a", "b"), (LineInError("x"),)))
    assert (upload.state, upload.file_log) == (State.REFUSED, "a\nb")
    assert not world.stage_errors


def test_the_nth_upload_meets_other_words() -> None:
    """Words are for one upload, counted from when they were given."""
    world = World()
    received(world)
    world.say_of_upload(Words(refused=True, message="Rejected by reviewer"), nth=2)
    world.say_of_upload(Words(refused=False, file_log="7 staged"), nth=1)
    second, third, fourth = (received(world).request_id for _ in range(3))
    assert world.conclude(second, Reading(8)).file_log == "7 staged"
    refused = world.conclude(third, Reading(8))
    assert (refused.state, refused.message) == (State.REFUSED, "Rejected by reviewer")
    assert world.conclude(fourth, Reading(8)).state is State.STAGED


def test_lines_in_error_stay_until_deleted() -> None:
    """They are listed per kind and deleted by SO or invoice line id, or all."""
    world = World(Settings(upload_id_is_request_id=False))
    lines = (
        LineInError("a", so_line_id="L1"),
        LineInError("b", inv_line_id="I1"),
        LineInError("c"),
    )
    upload = received(world)
    world.conclude(upload.request_id, Reading(3, (), lines))
    world.conclude(received(world, template=EVENT_UPLOAD).request_id, Reading(1, (), lines[:1]))
    assert len(world.errors_of(Kind.TRANSACTION)) == 3
    assert world.errors_of(Kind.EVENT)[0].to_json()["so_line_id"] == "L1"
    assert world.stage_errors[0].upload_id != str(upload.request_id)
    assert world.delete_lines(["L1", "I1"]) == 3
    assert world.delete_lines() == 1
    assert not world.stage_errors


def test_more_uploads_than_allowed_are_told_and_recorded() -> None:
    """The limit counts uploads at once, not uploads."""
    world = World()
    assert [world.upload_begins() for _ in range(3)] == [True, True, False]
    world.upload_ends()
    world.upload_ends()
    assert world.upload_begins()
    assert world.counts.max_parallel_uploads == 3
    assert [each["rule"] for each in world.violations] == ["parallel_uploads"]


def test_a_file_name_of_csv_upload_is_unique() -> None:
    """A refused upload gives its name back."""
    world = World()
    assert world.claim_name("10001.csv")
    assert not world.claim_name("10001.csv")
    world.conclude(received(world, Route.CSV).request_id, Reading(0, ("bad",)))
    assert world.claim_name("10001.csv")


def test_every_change_is_told() -> None:
    """Whoever waits for the world need not look again and again."""
    told: list[int] = []
    world = World()
    world.on_change = lambda: told.append(1)
    for change in (
        lambda: received(world),
        lambda: world.conclude(10_001, Reading(1)),
        world.hold_staging,
        world.release_staging,
        world.delete_lines,
        world.upload_begins,
        world.upload_ends,
        world.journal.add,
    ):
        before = len(told)
        change()
        assert len(told) > before


def test_violations_are_bounded() -> None:
    """A client that misbehaves for ever does not fill the memory."""
    world = World()
    for _ in range(1001):
        world.violation("x", "y")
    assert len(world.violations) == 1000


def test_tokens_expire_and_fit_one_way_only(clock: Clock) -> None:
    """A token is good for its life, in the header of its way, unless all were expired."""
    tokens = Tokens(clock)
    token, access = tokens.issue_jwt("u", 10), tokens.issue_opaque(20)
    assert tokens.alive(token, Way.TOKEN)
    assert not tokens.alive(token, Way.ONEID)
    clock.now += 10
    assert not tokens.alive(token, Way.TOKEN)
    assert tokens.alive(access, Way.ONEID)
    assert tokens.expire_all() == 2
    assert not tokens.alive(access, Way.ONEID)


def test_settings_change_by_name() -> None:
    """JSON values become the settings' own types."""
    settings = configure(
        Settings(), {"id_in": "message", "token_life": 5, "stage_rules": [1], "pending_known": True}
    )
    assert (settings.id_in, settings.token_life, settings.stage_rules) == (IdIn.MESSAGE, 5.0, (1,))


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonsense": 1},
        {"id_in": "somewhere"},
        {"token_life": "5"},
        {"stage_rules": ["x"]},
        {"stage_rules": 1},
        {"parallel_limit": True},
        {"templates": []},
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, object]) -> None:
    """The error begins with the key."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        configure(Settings(), wrong)


def test_batches_pass_from_ready_to_transferred_and_back(clock: Clock) -> None:
    """A reissued batch has another report and time, and may have other lines."""
    world = World(clock=clock)
    first, second = world.journal.add(4), world.journal.add(status="NEW")
    assert world.journal.confirm(first.id)
    assert not world.journal.confirm(first.id)
    assert not world.journal.confirm(second.id)
    assert not world.journal.confirm(1)
    assert world.journal.listed() == [second]
    clock.now += 60
    again = world.journal.reissue(first.id, 6)
    assert (len(again.rows), again.updated) != (4, first.updated)
    assert world.journal.of_report(first.report_id) is None
    assert world.journal.of_report(again.report_id) == again
    assert world.journal.reissue(first.id).rows == again.rows


def test_a_batchs_file_is_kept_for_two_days(clock: Clock) -> None:
    """After 48 hours there is none."""
    world = World(clock=clock)
    batch = world.journal.add()
    clock.now += 48 * 3600 - 1
    assert world.journal.has_file(batch)
    clock.now += 1
    assert not world.journal.has_file(batch)


@pytest.mark.parametrize("lines", [1, 2, 7, 1000])
def test_journal_lines_balance_unless_asked_not_to(lines: int) -> None:
    """Debits equal credits in each currency; an unbalanced batch is off by a cent."""
    assert differences(World().journal.add(lines).rows) <= {0}
    assert differences(World().journal.add(lines, balanced=False).rows) - {0} == {1}


def differences(rows: tuple[tuple[str, ...], ...]) -> set[int]:
    sums: dict[str, int] = {}
    for row in rows:
        debit, credit = (int(cell.replace(".", "") or "0") for cell in row[5:7])
        sums[row[1]] = sums.get(row[1], 0) + debit - credit
    return set(sums.values())
