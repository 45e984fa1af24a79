"""The tenant's documented rules, each with a record that breaks it and one that just does not."""

from collections.abc import Callable

import pytest

from revsyncd.checks.contract import CheckResult, Dialect, Rules
from revsyncd.checks.problems import level_of
from revsyncd.checks.revenue_rules import FIELDS, ROW_RULES, Lens, lens_of
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

Examine = Callable[..., CheckResult]
TYPES = {Lens.NUMBER: ColumnType.NUMBER, Lens.DATE: ColumnType.DATE}

# code: fields of the record that breaks it, fields of one that does not
CASES: dict[int, tuple[dict[str, str], dict[str, str]]] = {
    1: ({"type": "XX"}, {"type": "SO"}),
    2: ({"cv_eligible": "X"}, {"cv_eligible": "y"}),
    3: ({"customer_name": ""}, {"customer_name": "A"}),
    6: ({"item": ""}, {"item": "A"}),
    7: ({"type": "INV", "inv_qty": ""}, {"type": "SO", "inv_qty": ""}),
    11: (
        {"currency": "USD", "base_currency": "USD", "f_rate": "1.1"},
        {"currency": "USD", "base_currency": "USD", "f_rate": "1.00"},
    ),
    13: (
        {"start": "02-JAN-2026", "end": "01-JAN-2026"},
        {"start": "01-JAN-2026", "end": "01-JAN-2026"},
    ),
    14: (
        {"type": "CM", "credit_rule": "F", "start": ""},
        {"type": "CM", "credit_rule": "P", "start": ""},
    ),
    15: ({"start": "31-DEC-1947"}, {"start": "01-JAN-1948"}),
    16: ({"end": "31-DEC-1947"}, {"end": "01-JAN-1948"}),
    18: ({"start": ""}, {"start": "01-JAN-2026"}),
    21: ({"type": "SO", "deferred": ""}, {"type": "CST", "deferred": ""}),
    23: ({"type": "SO", "revenue": ""}, {"type": "CST", "revenue": ""}),
    30: ({"type": "RORD", "orig_so": ""}, {"type": "SO", "orig_so": ""}),
    35: ({"type": "CM-D", "inv_num": ""}, {"type": "SO", "inv_num": ""}),
    36: ({"type": "INV", "inv_line_id": ""}, {"type": "INV", "inv_line_id": "1"}),
    46: ({"credit_rule": "X"}, {"credit_rule": "P"}),
    47: (
        {"type": "CM", "credit_rule": "P", "orig_so": "", "orig_inv": ""},
        {"type": "CM", "credit_rule": "P", "orig_so": "1", "orig_inv": ""},
    ),
    49: ({"unbill": "1"}, {"unbill": ""}),
    50: ({"term": "0"}, {"term": "0.5"}),
    51: ({"customer_num": ""}, {"customer_num": "1"}),
    52: ({"fv_eligible": "yes"}, {"fv_eligible": "N"}),
    58: ({"type": "RORD", "price": "0.01"}, {"type": "RORD", "price": "-1"}),
    59: ({"type": "SO", "price": ""}, {"type": "CST", "price": ""}),
    63: (
        {"type": "CM", "credit_rule": "F", "end": ""},
        {"type": "CM", "credit_rule": "F", "end": "01-JAN-2026"},
    ),
    66: (
        {"modified": "01-JAN-2026", "so_date": "02-JAN-2026"},
        {"modified": "02-JAN-2026", "so_date": "02-JAN-2026"},
    ),
    67: ({"g_rate": "-1"}, {"g_rate": "0"}),
    68: ({"duration": "-3"}, {"duration": ""}),
    72: ({"type": "SO", "ord_qty": ""}, {"type": "INV", "ord_qty": ""}),
    76: (
        {"currency": "USD", "base_currency": "EUR", "f_rate": ""},
        {"currency": "USD", "base_currency": "USD", "f_rate": ""},
    ),
    628: (
        {"deferred_offset": "a", "revenue_offset": "b"},
        {"deferred_offset": "a", "revenue_offset": ""},
    ),
    630: ({"type": "SO", "so_line_id": ""}, {"type": "INV", "so_line_id": ""}),
    631: ({"type": "CST", "cost_amount": ""}, {"type": "SO", "cost_amount": ""}),
    632: ({"type": "CST", "cost_type": ""}, {"type": "CST", "cost_type": "x"}),
    636: ({"type": "INV", "orig_so": "1"}, {"type": "CM", "orig_so": "1"}),
    637: (
        {"type": "CM", "orig_so": "1", "orig_inv": "2"},
        {"type": "CM", "orig_so": "1", "orig_inv": ""},
    ),
    638: (
        {"type": "CM-C", "orig_so": "", "orig_inv": ""},
        {"type": "CM-R", "orig_so": "", "orig_inv": ""},
    ),
    668: ({"percent": "100.01"}, {"percent": "100"}),
    748: ({"cumulative": "N", "percent": "0"}, {"cumulative": "Y", "percent": "0.00"}),
    749: ({"cumulative": "", "amount": "0.00"}, {"cumulative": "N", "amount": "0.01"}),
}


def mapping_of(fields: list[str]) -> Mapping:
    columns = [
        MappedColumn(name.title(), FIELDS[name][0], TYPES.get(lens_of(name), ColumnType.CHARACTER))
        for name in fields
    ]
    return Mapping("DD-MON-YYYY", (*columns, MappedColumn("Row", "ATR1", ColumnType.CHARACTER)))


def content_of(mapping: Mapping, records: list[dict[str, str]]) -> str:
    rows = [",".join([*record.values(), str(n)]) for n, record in enumerate(records)]
    return "\r\n".join([",".join(mapping.labels), *rows, ""])


def test_every_rule_has_a_case_and_a_field_for_each_name() -> None:
    """The table is whole."""
    assert {rule.number for rule in ROW_RULES} == CASES.keys()
    names = {name.removesuffix("?") for rule in ROW_RULES for name in (*rule.fields, rule.at)}
    assert names <= FIELDS.keys()


@pytest.mark.parametrize("repeat", [1, 40])
@pytest.mark.parametrize("number", CASES)
def test_a_rule_warns_of_the_record_that_breaks_it(
    examine: Examine, number: int, repeat: int
) -> None:
    """Few records are read by hand, many in proven blocks: the place is the same."""
    bad, good = CASES[number]
    mapping = mapping_of(list(bad))
    content = content_of(mapping, [good] * repeat + [bad] + [good] * repeat)
    result = examine(content, mapping=mapping, rules=Rules(levels={f"revenue.{number}": "error"}))
    at = next(rule.at for rule in ROW_RULES if rule.number == number and rule.at in bad)
    [problem] = [p for p in result.problems if p.code == f"revenue.{number}"]
    assert (problem.record, problem.line) == (repeat + 1, repeat + 2)
    assert (problem.column, problem.value, problem.level) == (at.title(), bad[at], "error")
    assert problem.message.endswith(f"(RPRO-{number:05})")
    assert level_of(problem.code, {}) == "warn"


@pytest.mark.parametrize("number", CASES)
def test_a_rule_whose_columns_the_template_lacks_does_not_apply(
    examine: Examine, number: int
) -> None:
    """Without one of its fields it is silent."""
    bad, _ = CASES[number]
    fewer = dict(list(bad.items())[1:])
    mapping = mapping_of(list(fewer))
    assert f"revenue.{number}" not in examine(content_of(mapping, [fewer]), mapping=mapping).by_code


def test_a_cell_that_is_wrong_by_itself_breaks_no_rule_besides(examine: Examine) -> None:
    """One defect, one code."""
    mapping = mapping_of(["type", "ord_qty", "customer_num"])
    content = content_of(
        mapping, [{"a": "SO", "b": "many", "c": "1"}, {"a": "SO", "b": "1", "c": ""}]
    )
    result = examine(content, Rules(required=("Customer_Num",)), mapping=mapping)
    assert result.by_code == {"cell.number": 1, "cell.required": 1}


NAMED = Mapping(
    "",
    (
        MappedColumn("Id", "INV_LINE_ID", ColumnType.CHARACTER),
        MappedColumn("Text", "ATR1", ColumnType.CHARACTER),
        MappedColumn("Comments", "COMMENTS", ColumnType.CHARACTER),
        MappedColumn("Org", "ORG_ID", ColumnType.CHARACTER),
        MappedColumn("Segments", "REV_SEGMENTS", ColumnType.CHARACTER),
    ),
)
GOOD = "{n},text,words,1,x\r\n"


@pytest.mark.parametrize("repeat", [1, 40])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("a", "=1+1", "", "1", ""), ("revenue.603", "Text", "=1+1")),
        (("a", "+49", "", "1", ""), ("revenue.603", "Text", "+49")),
        (("@a", "", "", "1", ""), ("revenue.603", "Id", "@a")),
        (("a", "x" * 241, "", "1", ""), ("revenue.707", "Text", "x" * 200)),
        (("a", "", "x" * 3001, "1", ""), ("revenue.708", "Comments", "x" * 200)),
        (("a", "", "", "2", ""), ("revenue.744", "Org", "2")),
        (("0", "", "", "1", ""), ("revenue.715", "Id", "0")),
        (("a", "a-b=c@d+e", "x" * 3000, "1", "y" * 2000), None),
        (("a", "x" * 240, "", "", ""), None),
    ],
)
def test_what_refuses_a_whole_upload_is_an_error(
    examine: Examine,
    cells: tuple[str, ...],
    expected: tuple[str, str, str] | None,
    repeat: int,
    quote: str,
) -> None:
    """Before the round trip, with its place; in files with and without quotes."""
    rows = [GOOD.format(n=n) for n in range(repeat)]
    row = ",".join(quote + cell + quote for cell in cells) + "\r\n"
    text = ",".join(NAMED.labels) + "\r\n" + "".join(rows) + row
    result = examine(text, mapping=NAMED)
    found = [(p.code, p.column, p.value, p.record, p.line, p.level) for p in result.problems]
    assert found == ([(*expected, repeat + 1, repeat + 2, "error")] if expected else [])


@pytest.mark.parametrize("repeat", [0, 40])
def test_what_passes_in_a_column_unknown_to_the_tenant_does_not_pass_in_another(
    examine: Examine, repeat: int
) -> None:
    """The same value, the same type, both required: only one of them is read by the tenant."""
    text = ",".join(("Own", *NAMED.labels)) + "\r\n"
    text += "".join("a," + GOOD.format(n=n) for n in range(repeat))
    text += "=1,x,a,,1,\r\n" + "a,y,=1,,1,\r\n"
    rules = Rules(required=("Own", "Text"))
    found = examine(text, rules, mapping=NAMED).problems
    assert [(p.code, p.column, p.record) for p in found if p.code != "header.unknown"] == [
        ("revenue.603", "Text", repeat + 2)
    ]


def test_english_is_asked_for_only_where_configured(examine: Examine) -> None:
    """709 is off until the folder says that its tenant forbids other letters."""
    text = ",".join(NAMED.labels) + "\r\n" + GOOD.format(n=1) * 1 + "2,Zo\xeb,,1,\r\n"
    assert examine(text, mapping=NAMED).by_code == {}
    strict = Rules(levels={"revenue.709": "error"})
    assert examine(text, strict, mapping=NAMED).by_code == {"revenue.709": 1}


def test_an_invoice_line_that_must_be_unique_besides_is_told_once(examine: Examine) -> None:
    """The folder's own check has the word."""
    text = ",".join(NAMED.labels) + "\r\n" + GOOD.format(n=1) * 2
    assert examine(text, Rules(unique=("Id",)), mapping=NAMED).by_code == {"record.duplicate": 1}


def test_a_number_in_the_folders_own_notation_is_understood(examine: Examine) -> None:
    """A rule on an amount reads it as configured."""
    mapping = mapping_of(["type", "price"])
    text = ";".join(mapping.labels) + "\r\nRORD;1,5;a\r\n"
    result = examine(text, dialect=Dialect(delimiter=";", decimal=","), mapping=mapping)
    assert result.by_code == {"revenue.58": 1}


def test_levels_apply_by_prefix(examine: Examine) -> None:
    """All rules off with one word, one of them back with another."""
    bad, _ = CASES[13]
    mapping = mapping_of(list(bad))
    text = content_of(mapping, [bad])
    assert examine(text, Rules(levels={"revenue": "off"}), mapping=mapping).by_code == {}
    one = Rules(levels={"revenue": "off", "revenue.13": "error"})
    assert examine(text, one, mapping=mapping).errors == 1
