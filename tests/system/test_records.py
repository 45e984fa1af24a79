"""What was dropped and what the tenant stored, cell by cell."""

import codecs

import pytest
from daemon import LABELS, Launch, line, lines, read_table, table
from strict_tenant import StrictTenant


def month_end(count: int = 1300) -> list[list[str]]:
    """Records with all that may stand in a cell."""
    cells = ('Größe "XL"', "zwei\r\nZeilen", "a, b; c", "'quoted'", "naïve\ncafé", "東京 €")
    return [line(f"L{n}", customer=cells[n % 6], comment=cells[(n + 1) % 6]) for n in range(count)]


@pytest.mark.parametrize("upload", ["csv", "file"])
def test_1300_records_in_parts_of_500_arrive_as_dropped(
    launch: Launch, tenant: StrictTenant, upload: str
) -> None:
    """1,300 records with umlauts, quotes and newlines in cells arrive cell by cell in three parts."""
    rows = month_end()
    daemon = launch({"orders": {"upload": upload, "max_records_per_upload": 500}})
    daemon.site.drop("orders.csv", table(rows))
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("done", "staged")
    assert ended.path.read_bytes() == table(rows)
    stored = sorted(tenant.stored, key=lambda each: each.file_name)
    assert [len(each.rows) for each in stored] == [500, 500, 300]
    assert [row for each in stored for row in each.rows] == rows
    assert ended.report["records_by_state"]["staged"] == 1300


def reversed_columns(rows: list[list[str]]) -> bytes:
    return table(([*reversed(row)] for row in rows), [*reversed(LABELS)])


def test_other_ways_to_write_a_file_arrive_as_dropped(launch: Launch, tenant: StrictTenant) -> None:
    """Reversed columns, a BOM, LF line ends, and all of them, change nothing in the cells that arrive."""
    rows = month_end(28)
    unix = reversed_columns(rows[21:28]).replace(b"\r\n", b"\n")
    ways = {
        "reversed.csv": (rows[:7], reversed_columns(rows[:7])),
        "bom.csv": (rows[7:14], codecs.BOM_UTF8 + table(rows[7:14])),
        "lf.csv": (rows[14:21], table(rows[14:21], end="\n")),
        "all.csv": (
            [[cell.replace("\r\n", "\n") for cell in row] for row in rows[21:28]],
            codecs.BOM_UTF8 + unix,
        ),
    }
    daemon = launch({"orders": {"max_records_per_upload": 3}})
    for name, (wanted, content) in ways.items():
        before = len(tenant.stored)
        daemon.site.drop(name, content)
        ended = daemon.settled(name)
        assert ended.path.read_bytes() == content
        stored = sorted(tenant.stored[before:], key=lambda each: each.file_name)
        assert [len(each.rows) for each in stored] == [3, 3, 1]
        assert [row for each in stored for row in each.rows] == wanted


def test_a_bad_cell_sends_nothing_until_the_whole_file_is_corrected(
    launch: Launch, tenant: StrictTenant
) -> None:
    """One bad cell sends nothing; the report's errors name record, line, column and value."""
    daemon = launch()
    rows = [line("L1", comment="zwei\nZeilen"), line("L2"), line("L3")]
    rows[1][6] = "zehn"
    daemon.site.drop("orders.csv", table(rows))
    failed = daemon.settled("orders.csv")
    assert failed.ending == ("failed", "invalid")
    header, error = read_table(failed.sidecar(".errors.csv").read_bytes())
    found = dict(zip(header, error, strict=True))
    place = {"line": "4", "record": "2", "column": "Ext Sll Prc", "value": "zehn"}
    assert found | place | {"code": "cell.number", "source": "check"} == found
    assert not failed.sidecar(".rejects.csv").exists()
    assert tenant.stored == []
    rows[1][6] = "10"
    daemon.site.drop("orders.csv", table(rows))
    assert daemon.settled("orders.csv").ending == ("done", "staged")
    assert [each.rows for each in tenant.stored] == [rows]


def test_split_sends_the_good_records_and_links_the_corrected_rejects(
    launch: Launch, tenant: StrictTenant
) -> None:
    """Under split, rejects.csv corrected and dropped again goes through, linked in both reports."""
    daemon = launch({"orders": {"on_invalid": "split"}})
    rows = [line("L1"), line("L2"), line("L3")]
    rows[1][6] = "zehn"
    daemon.site.drop("orders.csv", table(rows))
    first = daemon.settled("orders.csv")
    assert first.ending == ("done", "staged_with_errors")
    assert [each.rows for each in tenant.stored] == [[rows[0], rows[2]]]
    rejects = first.sidecar(".rejects.csv").read_bytes()
    assert read_table(rejects)[1:] == [rows[1]]
    daemon.site.drop("orders.csv.rejects.csv", rejects.replace(b"zehn", b"10"))
    second = daemon.settled("orders.csv.rejects.csv")
    assert second.ending == ("done", "staged")
    assert tenant.stored[1].rows == [[*rows[1][:6], "10", *rows[1][7:]]]
    assert second.report["correction_of"] == first.drop
    assert daemon.site.settled(first.drop).report["corrected_by"] == [second.drop]


def test_a_wrong_encoding_in_a_column_by_which_totals_are_told(
    launch: Launch, tenant: StrictTenant
) -> None:
    """A byte that is no text ends in a report like any other defect."""
    checks = {"totals": ["Ext Sll Prc"], "totals_by": ["Cstmr Nm"]}
    daemon = launch({"orders": {"checks": checks}})
    daemon.site.drop("orders.csv", lines("L1").replace("ü".encode(), "ü".encode("cp1252")))
    failed = daemon.settled("orders.csv")
    assert failed.ending == ("failed", "invalid")
    assert [group["Cstmr Nm"] for group in failed.report["totals_by"]] == [r"M\xfcller"]
    assert tenant.stored == []


def test_no_child_of_a_bundle_is_sent_without_its_parent(
    launch: Launch, tenant: StrictTenant
) -> None:
    """Under split too: the bundle before would take it for its own."""
    folder = {"template_name": "Bundle Upload", "kind": "bundle", "upload": "csv"}
    daemon = launch({"bundles": {**folder, "on_invalid": "split"}})
    rows = [["P1", "L1", "A"], ["", "L2", "B"], ["P2", "L3"], ["", "L4", "D"]]
    daemon.site.drop("b.csv", table(rows, ("Parent Line Id", "Doc Line Id", "Item Num")), "bundles")
    failed = daemon.settled("b.csv", "bundles")
    assert failed.ending == ("failed", "invalid")
    assert not failed.sidecar(".rejects.csv").exists()
    assert tenant.stored == []


def test_lines_in_stage_error_are_corrected_by_their_rejects(
    launch: Launch, tenant: StrictTenant
) -> None:
    """A line that the tenant puts in error comes back as rejects.csv, goes through and is linked."""
    tenant.knobs.stage_errors = {"L2": "RPRO-00076: a rate is missing"}
    daemon = launch(top={"stage_errors": {"every": "200ms"}})
    daemon.site.drop("orders.csv", lines("L1", "L2", "L3"))
    first = daemon.settled("orders.csv")
    daemon.wait_for("stage_errors.found", drop=first.drop)
    told = daemon.site.settled_when(first.drop, lambda now: now.report["revision"] > 1)
    assert told.ending == ("done", "staged_with_errors")
    [item] = told.report["stage_errors"]["items"]
    assert (item["record"], item["line"], item["so_line_id"]) == (2, 3, "L2")
    assert item["code"] == "RPRO-00076"
    assert "delete these lines" in told.report["next_step"].lower()
    rejects = told.sidecar(".rejects.csv").read_bytes()
    assert read_table(rejects)[1:] == [line("L2")]
    tenant.knobs.stage_errors = {}
    with tenant.changed:
        tenant.books.errors.clear()
    daemon.wait_for("stage_errors.gone", drop=first.drop)
    daemon.site.drop("orders.csv.rejects.csv", rejects.replace(b"10.50", b"11"))
    second = daemon.settled("orders.csv.rejects.csv")
    assert second.ending == ("done", "staged")
    assert [row[0] for each in tenant.stored for row in each.rows] == ["L1", "L2", "L3", "L2"]
    assert second.report["correction_of"] == first.drop
    told = daemon.site.settled_when(first.drop, lambda now: now.ending == ("done", "staged"))
    assert told.report["corrected_by"] == [second.drop]
    assert [each["state"] for each in told.report["stage_errors"]["items"]] == ["gone"]
