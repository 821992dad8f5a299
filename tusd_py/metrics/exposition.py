"""The text that Prometheus reads, under exactly the names that tusd has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import Metric

from tusd_py.metrics.sums import Family

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from prometheus_client.registry import Collector

    from tusd_py.metrics.sums import Snapshot

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""What `render` writes. Not OpenMetrics, whose counters have to end in _total."""

_UNTYPED = re.compile(rb"^(# TYPE \S+) untyped$", re.MULTILINE)


class Families:
    """Some metrics as they are at one moment, for `render`."""

    def __init__(self) -> None:
        self._metrics: list[Metric] = []

    def gauge(self, name: str, meaning: str, value: float | None) -> None:
        """What goes up and down; None is left out."""
        self._add(name, meaning, "gauge", value)

    def counter(self, name: str, meaning: str, value: float) -> None:
        """What only grows, under `name`, of which prometheus-client would make `<name>_total`."""
        self._add(name, meaning, "unknown", value)

    def counters(self, name: str, meaning: str, label: str, values: Mapping[str, float]) -> None:
        """`<name>_total`, which only grows, for each value of `label`."""
        metric = Metric(name, meaning, "counter")
        for value, count in values.items():
            metric.add_sample(f"{name}_total", {label: value}, count)
        self._metrics.append(metric)

    def _add(self, name: str, meaning: str, kind: str, value: float | None) -> None:
        if value is not None:
            metric = Metric(name, meaning, kind)
            metric.add_sample(name, {}, value)
            self._metrics.append(metric)

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        return self._metrics


class _All:
    def __init__(self, collectors: Iterable[Collector]) -> None:
        self._collectors = collectors

    def collect(self) -> Iterable[Metric]:
        for collector in self._collectors:
            for metric in collector.collect():
                # When a series began is known to Prometheus, and doubles their number.
                created = f"{metric.name}_created"
                metric.samples = [sample for sample in metric.samples if sample.name != created]
                yield metric


def render(*collectors: Collector) -> bytes:
    """All they collect, as text (CONTENT_TYPE). Blocks: it reads from /proc, among others."""
    # Untyped is what a counter has to be called on the way through prometheus-client to keep its name.
    return _UNTYPED.sub(rb"\1 counter", generate_latest(_All(collectors)))


def take(*collectors: Collector) -> Snapshot:
    """All they collect, to be added to what other processes collect. Blocks as `render` does."""
    return {
        metric.name: Family(
            meaning=metric.documentation,
            kind=metric.type,
            samples={
                (sample.name, tuple(sample.labels.items())): float(sample.value)
                for sample in metric.samples
            },
        )
        for metric in _All(collectors).collect()
    }


class Taken:
    """A snapshot, for `render`."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        """See prometheus_client.registry.Collector."""
        for name, family in self._snapshot.items():
            metric = Metric(name, family.meaning, family.kind)
            for (sample, labels), value in family.samples.items():
                metric.add_sample(sample, dict(labels), value)
            yield metric


def runtime() -> CollectorRegistry:
    """What every Python process has to tell: memory, descriptors, CPU time, garbage. Blocks."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    return registry
