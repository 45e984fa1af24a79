"""The exposition as Prometheus's own parser reads it."""

import pytest
from prometheus_client.parser import text_string_to_metric_families as parsed

from revsyncd.adapters.metrics import Exposition
from revsyncd.core.metrics import METRICS, PREFIX, Change, Metric, Sample, Sort


def values(exposition: Exposition, *samples: Sample) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every sample of ours by name, without the prefix, and values of its labels in their order."""
    text = exposition.render(samples).decode()
    return {
        (sample.name.removeprefix(PREFIX), tuple(sample.labels.values())): sample.value
        for family in parsed(text)
        for sample in family.samples
        if sample.name.startswith(PREFIX)
    }


def test_counters_and_histograms_add_up() -> None:
    """A counter by its labels; a histogram with count, sum and cumulative buckets."""
    exposition = Exposition()
    for amount in (0, 1, 2.5):
        exposition.count(Change("records_total", ("orders",), amount))
    for seconds in (0.2, 40):
        exposition.count(Change("upload_seconds", (), seconds))
    found = values(exposition)
    assert found["records_total", ("orders",)] == 3.5
    assert found["upload_seconds_count", ()] == 2
    assert found["upload_seconds_sum", ()] == 40.2
    assert [found["upload_seconds_bucket", (le,)] for le in ("0.1", "0.25", "60.0", "+Inf")] == [
        0,
        1,
        2,
        2,
    ]


def test_gauges_are_those_of_the_moment() -> None:
    """What was true at the last scrape is not told any more."""
    exposition = Exposition()
    before = values(exposition, Sample("open_drops", 2, ("orders", "held")), Sample("tenant_up", 1))
    after = values(exposition, Sample("tenant_up", 0))
    assert before == {("open_drops", ("orders", "held")): 2, ("tenant_up", ()): 1} | _empty(before)
    assert after["tenant_up", ()] == 0
    assert ("open_drops", ("orders", "held")) not in after


def _empty(
    found: dict[tuple[str, tuple[str, ...]], float],
) -> dict[tuple[str, tuple[str, ...]], float]:
    """The histogram without labels is there from the start."""
    return {key: 0 for key in found if key[0].startswith("upload_seconds")}


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_every_metric_has_its_name_kind_and_help(metric: Metric) -> None:
    """Also where nothing was counted yet; no series tells when another began."""
    text = Exposition().render(()).decode()
    assert f"# HELP {PREFIX}{metric.name} {metric.help}\n" in text
    assert f"# TYPE {PREFIX}{metric.name} {metric.sort}\n" in text
    assert "_created" not in text


@pytest.mark.parametrize(
    ("label", "seen"),
    [
        ('"} 1\nrevsyncd_tenant_up 7 #', '"} 1\\nrevsyncd_tenant_up 7 #'),
        ("back\\slash", "back\\\\slash"),
        ("\udcff", "\\xff"),
        ("a\u202eb", "a\\u202eb"),
        ("Müller", "Müller"),
    ],
)
@pytest.mark.parametrize("sort", [Sort.COUNTER, Sort.GAUGE])
def test_hostile_labels_stay_labels(sort: Sort, label: str, seen: str) -> None:
    """Quotes, line ends, bytes that are no UTF-8: the parser reads one label, as reports show it."""
    exposition = Exposition()
    if sort is Sort.COUNTER:
        exposition.count(Change("service_restarts_total", (label,), 3))
        found = values(exposition, Sample("tenant_up", 1))
        assert found["service_restarts_total", (seen,)] == 3
    else:
        found = values(exposition, Sample("tenant_up", 1), Sample("stage_errors_open", 3, (label,)))
        assert found["stage_errors_open", (seen,)] == 3
    assert found["tenant_up", ()] == 1
