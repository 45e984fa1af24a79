"""The metrics as Prometheus scrapes them: counted here, rendered in its text format 0.0.4.

Loaded only where `[http]` is configured: the library is 2 MB of memory.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import prometheus_client
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from revsyncd.core.metrics import METRICS, PREFIX, Change, Metric, Sample, Sort
from revsyncd.core.places import shown

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# When a series began is a matter of OpenMetrics; here it would be one more gauge for each counter.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has no types there


class Exposition:
    """The counters of one process, and what /metrics says."""

    def __init__(self) -> None:
        """Nothing is counted yet."""
        self._registry = prometheus_client.CollectorRegistry()
        self._gauges = _Gauges()
        self._counted: Mapping[str, prometheus_client.Counter | prometheus_client.Histogram] = {
            metric.name: self._made(metric) for metric in METRICS if metric.sort is not Sort.GAUGE
        }
        self._registry.register(self._gauges)
        prometheus_client.ProcessCollector(registry=self._registry)

    def count(self, change: Change) -> None:
        """Let a counter go up, or a histogram observe; by nothing: the series is there from now on."""
        metric = self._counted[change.metric]
        child = metric.labels(*map(shown, change.labels)) if change.labels else metric
        if isinstance(child, prometheus_client.Counter):
            child.inc(change.amount)
        elif isinstance(child, prometheus_client.Histogram):
            child.observe(change.amount)

    def render(self, samples: Iterable[Sample]) -> bytes:
        """Everything counted so far, and gauges as they are now."""
        self._gauges.samples = list(samples)
        return prometheus_client.generate_latest(self._registry)

    def _made(self, metric: Metric) -> prometheus_client.Counter | prometheus_client.Histogram:
        name, registry = PREFIX + metric.name, self._registry
        if metric.sort is Sort.COUNTER:
            return prometheus_client.Counter(name, metric.help, metric.labels, registry=registry)
        return prometheus_client.Histogram(
            name, metric.help, metric.labels, registry=registry, buckets=metric.buckets
        )


class _Gauges(Collector):
    """What is read at the moment of the scrape; a gauge without a sample is named all the same."""

    def __init__(self) -> None:
        self.samples: Sequence[Sample] = ()

    def collect(self) -> Iterator[Family]:
        for metric in METRICS:
            if metric.sort is Sort.GAUGE:
                family = GaugeMetricFamily(PREFIX + metric.name, metric.help, labels=metric.labels)
                for sample in self.samples:
                    if sample.metric == metric.name:
                        family.add_metric([shown(label) for label in sample.labels], sample.value)
                yield family
