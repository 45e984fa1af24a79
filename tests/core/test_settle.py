import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.settle import (
    LONGEST_PAUSE,
    STRAY_AFTER,
    Entry,
    Finding,
    Ignored,
    Incomplete,
    NotAFile,
    Order,
    Readiness,
    Ready,
    Role,
    Seen,
    SettleSettings,
    Settling,
    role,
)

SETTLE = SettleSettings(settle_time=10.0)
MARKER = replace(SETTLE, ready=Readiness.MARKER)
MANIFEST = replace(SETTLE, ready=Readiness.MANIFEST)


def an_entry(name: str = "orders.csv", kind: int = stat.S_IFREG, **facts: int) -> Entry:
    usual = {"size": 9, "mtime_ns": 1, "ctime_ns": 1, "inode": 7, "device": 1, "links": 1}
    return Entry(name=name, mode=kind | 0o644, **({"uid": 0, "gid": 0} | usual | facts))


def taken(findings: list[Finding]) -> list[str]:
    return [finding.entry.name for finding in findings if isinstance(finding, Ready)]


class TestSettling:
    """From the first sight of a file to its claim."""

    def test_a_file_is_ready_once_it_stayed_the_same_for_the_settle_time(self) -> None:
        """It is seen at the first look, not yet ready just before the time is over, then ready."""
        settling, entry = Settling(), an_entry()
        assert settling.observe(100.0, [entry], SETTLE) == [Seen(entry)]
        assert settling.observe(109.9, [entry], SETTLE) == []
        assert settling.observe(110.0, [entry], SETTLE) == [Ready(entry, None, 100.0)]

    def test_ready_is_repeated_until_the_file_is_gone(self) -> None:
        """A claim that failed can be tried again at the next look."""
        settling = Settling()
        for now in (0.0, 10.0):
            settling.observe(now, [an_entry()], SETTLE)
        assert taken(settling.observe(15.0, [an_entry()], SETTLE)) == ["orders.csv"]
        assert settling.observe(16.0, [], SETTLE) == []
        assert settling.next_look() is None

    @pytest.mark.parametrize(
        "later",
        [
            an_entry(size=10),
            an_entry(mtime_ns=2),
            an_entry(ctime_ns=2),
            an_entry(inode=8),
            an_entry(device=2),
            an_entry(links=2),
            an_entry(kind=stat.S_IFLNK),
        ],
    )
    def test_any_change_begins_the_settle_time_anew(self, later: Entry) -> None:
        """Each fact of the fingerprint counts: a file replaced by an equally long one, too."""
        settling = Settling()
        settling.observe(0.0, [an_entry()], SETTLE)
        settling.observe(9.0, [later], SETTLE)
        assert settling.observe(18.9, [later], SETTLE) == []
        assert len(settling.observe(19.0, [later], SETTLE)) == 1

    def test_two_looks_are_needed_even_without_a_settle_time(self) -> None:
        """One look proves nothing; the second is due at once."""
        settling, eager = Settling(), replace(SETTLE, settle_time=0.0)
        assert taken(settling.observe(5.0, [an_entry()], eager)) == []
        assert settling.next_look() == 5.0
        assert taken(settling.observe(5.0, [an_entry()], eager)) == ["orders.csv"]

    def test_two_looks_are_needed_again_after_a_change(self) -> None:
        """The look that finds a change proves nothing about what it found."""
        settling, eager = Settling(), replace(SETTLE, settle_time=0.0)
        settling.observe(5.0, [an_entry()], eager)
        assert settling.observe(6.0, [an_entry(size=10)], eager) == []
        assert taken(settling.observe(6.0, [an_entry(size=10)], eager)) == ["orders.csv"]

    def test_an_old_mtime_makes_nothing_older(self) -> None:
        """`put -p` sets the mtime of years ago before the transfer has ended."""
        settling = Settling()
        settling.observe(0.0, [an_entry(mtime_ns=0)], SETTLE)
        assert taken(settling.observe(1.0, [an_entry(mtime_ns=0)], SETTLE)) == []

    def test_a_file_that_comes_back_begins_anew(self) -> None:
        """What vanished is forgotten."""
        settling = Settling()
        settling.observe(0.0, [an_entry()], SETTLE)
        settling.observe(1.0, [], SETTLE)
        assert settling.observe(20.0, [an_entry()], SETTLE) == [Seen(an_entry())]

    @pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR])
    def test_what_is_no_file_is_told_as_such(self, kind: int) -> None:
        """Links, FIFOs, sockets and devices settle like files and are never ready."""
        settling, entry = Settling(), an_entry(kind=kind)
        settling.observe(0.0, [entry], MARKER)
        assert settling.observe(10.0, [entry], MARKER) == [NotAFile(entry, 0.0)]

    def test_what_was_left_is_silent_until_it_changes(self) -> None:
        """What can't be moved is reported where it lies, once."""
        settling, entry = Settling(), an_entry(kind=stat.S_IFIFO)
        for now in (0.0, 10.0):
            settling.observe(now, [entry], SETTLE)
        settling.leave(entry.name)
        assert settling.observe(15.0, [entry], SETTLE) == []
        regular = an_entry()
        settling.observe(20.0, [regular], SETTLE)
        assert taken(settling.observe(30.0, [regular], SETTLE)) == ["orders.csv"]

    def test_leaving_what_is_gone_does_nothing(self) -> None:
        """The sender may have removed it meanwhile."""
        settling = Settling()
        settling.leave("orders.csv")
        assert settling.observe(0.0, [an_entry()], SETTLE) == [Seen(an_entry())]

    def test_what_was_claimed_settles_whatever_its_name(self) -> None:
        """In a work directory no pattern and no marker counts, only the settle time."""
        settling, hidden = Settling(), an_entry(".odd\nname")
        settling.observe(0.0, [hidden], MARKER.in_work())
        assert taken(settling.observe(10.0, [hidden], MARKER.in_work())) == [".odd\nname"]


class TestNextLook:
    """When a folder is looked at again."""

    def test_the_first_look_is_due_at_once(self) -> None:
        """Files that are there before the start are found by looking."""
        assert Settling().next_look() == 0.0

    def test_it_falls_on_the_end_of_the_settle_time(self) -> None:
        """No time is lost between the end of the settle time and the claim."""
        settling = Settling()
        settling.observe(100.0, [an_entry()], replace(SETTLE, settle_time=0.3))
        assert settling.next_look() == 100.3
        assert taken(settling.observe(100.3, [an_entry()], replace(SETTLE, settle_time=0.3)))

    def test_a_decision_that_fell_due_after_the_look_is_not_forgotten(self) -> None:
        """A time in the past is given, though the caller was busy when it came."""
        settling = Settling()
        settling.observe(
            0.0, [an_entry("a.csv"), an_entry("b.csv")], replace(SETTLE, settle_time=1)
        )
        assert settling.next_look() == 1.0

    def test_a_folder_with_something_in_it_is_never_left_alone_for_longer(self) -> None:
        """Also when nothing in it is ours, at most five seconds go by."""
        settling = Settling()
        settling.observe(50.0, [an_entry(".hidden")], replace(SETTLE, settle_time=1000.0))
        assert settling.next_look() == 50.0 + LONGEST_PAUSE

    def test_what_was_decided_is_not_due_again(self) -> None:
        """A file that is ready but can't be claimed is looked at in the usual rhythm."""
        settling = Settling()
        for now in (0.0, 10.0, 12.0):
            settling.observe(now, [an_entry()], SETTLE)
        assert settling.next_look() == 12.0 + LONGEST_PAUSE


class TestPatterns:
    """What a name is to a folder."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("orders.csv", Role.DROP),
            ("ORDERS.CSV", Role.DROP),
            ("two\nlines.csv", Role.DROP),
            ("-rf.csv", Role.DROP),
            ("caf\udce9.csv", Role.DROP),
            ("..csv", Role.EXCLUDED),
            (".orders.csv", Role.EXCLUDED),
            ("orders.csv.FILEPART", Role.EXCLUDED),
            ("~orders.csv", Role.EXCLUDED),
            ("orders.csv.ok", Role.STRAY),
            ("orders.txt", Role.STRAY),
            ("orders.csv\n", Role.STRAY),
        ],
    )
    def test_patterns_cover_the_whole_name_without_case(self, name: str, expected: Role) -> None:
        """Newlines and bytes that are not UTF-8 are characters like others."""
        assert role(name, SETTLE) is expected

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("orders.txt.rejects.csv", Role.DROP),
            ("orders.txt.remaining.csv", Role.DROP),
            ("orders.txt.errors.csv", Role.STRAY),
            ("orders.pdf.rejects.csv", Role.STRAY),
            (".orders.txt.rejects.csv", Role.EXCLUDED),
        ],
    )
    def test_a_sidecar_to_correct_is_taken_as_its_file_is(self, name: str, expected: Role) -> None:
        """It can be dropped under the name that it has, whatever `include` says."""
        assert role(name, replace(SETTLE, include=("*.txt",))) is expected

    def test_no_pattern_matches_nothing(self) -> None:
        """An empty list is not a pattern that matches everything."""
        assert role("orders.csv", replace(SETTLE, include=())) is Role.STRAY
        assert role("orders.csv", replace(SETTLE, exclude=())) is Role.DROP

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("orders.csv.ok", Role.COMPANION),
            ("orders.csv.OK", Role.COMPANION),
            ("orders.csv.ok.ok", Role.DROP),
            (".ok", Role.EXCLUDED),
            ("~orders.csv.ok", Role.EXCLUDED),
        ],
    )
    def test_a_companion_is_no_drop_though_a_pattern_matches(
        self, name: str, expected: Role
    ) -> None:
        """With include = * the marker is still the marker, but a marker has no marker."""
        assert role(name, replace(MARKER, include=("*",))) is expected

    def test_a_stray_is_shown_once_after_an_hour(self) -> None:
        """Neither earlier nor again; changes to it do not matter."""
        settling, readme = Settling(), an_entry("README.txt")
        assert settling.observe(0.0, [readme], SETTLE) == []
        changed = replace(readme, size=10)
        assert settling.observe(STRAY_AFTER - 1, [changed], SETTLE) == []
        assert settling.next_look() == STRAY_AFTER
        assert settling.observe(STRAY_AFTER, [changed], SETTLE) == [Ignored(changed)]
        assert settling.observe(STRAY_AFTER + 1, [changed], SETTLE) == []

    def test_a_directory_is_a_stray_whatever_its_name(self) -> None:
        """It is never a drop and never moved, but shown."""
        settling, directory = Settling(), an_entry("backup.csv", stat.S_IFDIR)
        assert settling.observe(0.0, [directory], SETTLE) == []
        assert settling.observe(STRAY_AFTER, [directory], SETTLE) == [Ignored(directory)]

    def test_what_is_excluded_is_never_mentioned(self) -> None:
        """Temporary names of SFTP clients come and go in silence, lone markers of them too."""
        settling = Settling()
        entries = [an_entry(".orders.csv"), an_entry(".ok"), an_entry("x.tmp", stat.S_IFDIR)]
        for now in (0.0, 20.0, STRAY_AFTER):
            assert settling.observe(now, entries, MARKER) == []


class TestOrder:
    """The order in which files are taken."""

    def test_arrival_is_first_sight_then_ctime_then_name(self) -> None:
        """Within one look the kernel's time of the last change decides."""
        settling = Settling()
        first = [an_entry("d.csv", ctime_ns=9)]
        then = [an_entry("c.csv"), an_entry("a.csv", ctime_ns=2), an_entry("b.csv")]
        settling.observe(0.0, first, SETTLE)
        settling.observe(1.0, first + then, SETTLE)
        found = settling.observe(11.0, first + then, SETTLE)
        assert taken(found) == ["d.csv", "b.csv", "c.csv", "a.csv"]

    @pytest.mark.parametrize("order", list(Order))
    def test_corrections_come_first(self, order: Order) -> None:
        """What a person has mended does not wait behind what came meanwhile."""
        settling, settings = Settling(), replace(SETTLE, order=order)
        entries = [an_entry("a.csv"), an_entry("z.csv.rejects.csv", ctime_ns=5)]
        settling.observe(0.0, entries, settings)
        found = settling.observe(10.0, entries, settings)
        assert taken(found) == ["z.csv.rejects.csv", "a.csv"]

    def test_by_name_the_time_of_arrival_does_not_matter(self) -> None:
        """A file that comes late is taken first when its name sorts first."""
        settling, settings = Settling(), replace(SETTLE, order=Order.NAME)
        settling.observe(0.0, [an_entry("b.csv")], settings)
        both = [an_entry("b.csv"), an_entry("a.csv", ctime_ns=9)]
        settling.observe(1.0, both, settings)
        assert taken(settling.observe(11.0, both, settings)) == ["a.csv", "b.csv"]


class TestCompanions:
    """Markers and manifests."""

    data = an_entry(ctime_ns=100)
    marker = an_entry("orders.csv.ok", ctime_ns=200, inode=8, size=0)

    def test_data_alone_waits(self) -> None:
        """However long it has been still, without its marker it is not complete."""
        settling = Settling()
        settling.observe(0.0, [self.data], MARKER)
        assert settling.observe(3600.0, [self.data], MARKER) == []

    def test_both_are_ready_together_when_the_marker_has_settled(self) -> None:
        """The marker is no drop of its own and settles like its data."""
        settling = Settling()
        settling.observe(0.0, [self.data], MARKER)
        assert settling.observe(20.0, [self.data, self.marker], MARKER) == []
        assert settling.next_look() == 25.0
        assert settling.observe(29.0, [self.data, self.marker], MARKER) == []
        found = settling.observe(30.0, [self.data, self.marker], MARKER)
        assert found == [Ready(self.data, self.marker, 0.0)]

    def test_a_manifest_is_awaited_in_the_same_way(self) -> None:
        """Its suffix is the other one; a marker is then a file like any."""
        manifest = an_entry("orders.csv.Manifest.JSON", ctime_ns=200)
        settling = Settling()
        for now in (0.0, 10.0):
            found = settling.observe(now, [self.data, self.marker, manifest], MANIFEST)
        assert found == [Ready(self.data, manifest, 0.0)]

    def test_the_suffix_as_configured_wins(self) -> None:
        """Two companions in different case: the exact one belongs to the data."""
        shouted = replace(self.marker, name="orders.csv.OK")
        for entries in ([shouted, self.marker], [self.marker, shouted]):
            settling = Settling()
            for now in (0.0, 10.0):
                found = settling.observe(now, [self.data, *entries], MARKER)
            assert found == [Ready(self.data, self.marker, 0.0)]

    def test_a_marker_older_than_the_data_does_not_count(self) -> None:
        """By ctime when both are seen at once, as after a restart."""
        settling, early = Settling(), replace(self.marker, ctime_ns=99)
        for now in (0.0, 10.0, 20.0):
            found = settling.observe(now, [self.data, early], MARKER)
        assert found == []

    def test_data_that_changes_after_its_marker_needs_another(self) -> None:
        """Whatever the system's clock says: our own looks saw the order."""
        settling, later = Settling(), replace(self.data, size=99, ctime_ns=150)
        for now in (0.0, 1.0, 2.0):
            settling.observe(now, [self.data, self.marker], MARKER)
        for now in (3.0, 30.0):
            assert taken(settling.observe(now, [later, self.marker], MARKER)) == []
        touched = replace(self.marker, ctime_ns=151)
        settling.observe(31.0, [later, touched], MARKER)
        assert taken(settling.observe(41.0, [later, touched], MARKER)) == ["orders.csv"]

    def test_a_marker_that_appears_later_counts_though_the_clock_jumped_back(self) -> None:
        """Several looks lie between the data's last change and the marker."""
        settling, odd = Settling(), replace(self.marker, ctime_ns=1)
        for now in (0.0, 5.0):
            settling.observe(now, [self.data], MARKER)
        settling.observe(10.0, [self.data, odd], MARKER)
        assert taken(settling.observe(20.0, [self.data, odd], MARKER)) == ["orders.csv"]

    def test_a_listing_that_met_the_marker_before_its_data_does_no_harm(self) -> None:
        """A listing is no snapshot: the data was there first, but was seen one look later."""
        settling = Settling()
        settling.observe(0.0, [self.marker], MARKER)
        settling.observe(0.1, [self.data, self.marker], MARKER)
        assert taken(settling.observe(10.1, [self.data, self.marker], MARKER)) == ["orders.csv"]

    def test_after_the_time_out_it_is_incomplete(self) -> None:
        """Counted from the data's last change, by our own clock."""
        settling, settings = Settling(), replace(MARKER, marker_timeout=60.0)
        grown = replace(self.data, size=10)
        settling.observe(0.0, [self.data], settings)
        settling.observe(30.0, [grown], settings)
        assert settling.observe(87.0, [grown], settings) == []
        assert settling.next_look() == 90.0
        assert settling.observe(90.0, [grown], settings) == [Incomplete(grown, None, 0.0)]

    def test_an_old_marker_goes_along_with_incomplete_data(self) -> None:
        """It is no proof, but must not stay behind alone."""
        settling, settings = Settling(), replace(MARKER, marker_timeout=60.0)
        early = replace(self.marker, ctime_ns=1)
        for now in (0.0, 60.0):
            found = settling.observe(now, [self.data, early], settings)
        assert found == [Incomplete(self.data, early, 0.0)]

    def test_a_link_is_no_marker(self) -> None:
        """A companion must be a regular file; a link is not claimed as one."""
        settling, settings = Settling(), replace(MARKER, marker_timeout=60.0)
        link = an_entry("orders.csv.ok", stat.S_IFLNK, ctime_ns=200)
        for now in (0.0, 60.0):
            found = settling.observe(now, [self.data, link], settings)
        assert found == [Incomplete(self.data, None, 0.0)]

    def test_a_marker_that_still_settles_stops_the_time_out(self) -> None:
        """Proof that is on its way is waited for."""
        settling, settings = Settling(), replace(MARKER, marker_timeout=60.0)
        for now in (0.0, 55.0):
            settling.observe(now, [self.data], settings)
        assert settling.observe(59.0, [self.data, self.marker], settings) == []
        assert settling.observe(62.0, [self.data, self.marker], settings) == []
        assert taken(settling.observe(69.0, [self.data, self.marker], settings)) == ["orders.csv"]

    def test_a_lone_marker_waits_and_is_shown_after_an_hour(self) -> None:
        """Its data never came; it is neither moved nor a drop."""
        settling = Settling()
        assert settling.observe(0.0, [self.marker], MARKER) == []
        found = settling.observe(STRAY_AFTER, [self.marker], MARKER)
        assert found == [Ignored(self.marker)]


class Sender:
    """Writes to two files, as Hypothesis says, and knows what is true about them."""

    def __init__(self) -> None:
        self.clock = 0
        self.files: dict[str, Entry] = {}

    def write(self, name: str) -> None:
        """Append to a file, which begins it if it is not there."""
        self.clock += 1
        size = self.clock if name not in self.files else self.files[name].size + 1
        self.files[name] = an_entry(name, size=size, ctime_ns=self.clock, mtime_ns=0)


NAMES = ["a.csv", "b.csv", "a.csv.ok", "b.csv.ok"]
MOVES = st.lists(
    st.tuples(
        st.floats(min_value=0.0, max_value=30.0),
        st.lists(st.sampled_from(NAMES), max_size=3),
        st.booleans(),
    ),
    max_size=25,
)


@given(moves=MOVES, settings=st.sampled_from([SETTLE, MARKER]))
def test_nothing_is_ready_that_was_seen_to_change_within_the_settle_time(
    moves: list[tuple[float, list[str], bool]], settings: SettleSettings
) -> None:
    """Whatever a sender does between looks; and a marker was always written after its data."""
    settling, sender, now = Settling(), Sender(), 0.0
    seen: dict[str, tuple[float, Entry]] = {}
    for pause, writes, removes in moves:
        now += pause
        if removes and sender.files:
            sender.files.popitem()
        for name in writes:
            sender.write(name)
        seen = {
            n: seen[n] if n in seen and seen[n][1] == e else (now, e)
            for n, e in sender.files.items()
        }
        for finding in settling.observe(now, sender.files.values(), settings):
            if not isinstance(finding, Ready):
                continue
            both = [e for e in (finding.entry, finding.companion) if e is not None]
            assert all(now >= seen[e.name][0] + settings.settle_time for e in both)
            assert all(now > seen[e.name][0] for e in both)
            if settings is MARKER:
                assert finding.companion is not None
                assert finding.companion.ctime_ns > finding.entry.ctime_ns


@given(moves=MOVES, settle_time=st.floats(min_value=0.0, max_value=100.0))
def test_what_stays_the_same_ends_ready(
    moves: list[tuple[float, list[str], bool]], settle_time: float
) -> None:
    """Looking only when `next_look` says so, every file that is left alone is ready in the end."""
    settling, sender, now = Settling(), Sender(), 0.0
    settings = replace(SETTLE, settle_time=settle_time, include=("*",))
    for pause, writes, _ in moves:
        now += pause
        for name in writes:
            sender.write(name)
        settling.observe(now, sender.files.values(), settings)
    end, found = now + settle_time + LONGEST_PAUSE, list[Finding]()
    while (due := settling.next_look()) is not None and max(due, now) <= end:
        now = max(due, now)
        found = settling.observe(now, sender.files.values(), settings)
        if len(taken(found)) == len(sender.files):
            break
    assert sorted(taken(found)) == sorted(sender.files)
