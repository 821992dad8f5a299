"""What a server tells Prometheus, read without the library that wrote it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.server import fetch

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLE = re.compile(r"([a-z_0-9]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_0-9]+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape: the value of each series, as it is written, and the type of each family."""

    values: Mapping[str, float]
    types: Mapping[str, str]

    @property
    def names(self) -> set[str]:
        """The names of all series, without labels."""
        return {series.partition("{")[0] for series in self.values}

    def of(self, name: str) -> dict[str, float]:
        """The series of that name that are not 0, by their labels as they are written."""
        found = {key: value for key, value in self.values.items() if key.partition("{")[0] == name}
        return {key.removeprefix(name): value for key, value in found.items() if value}

    def labels(self, label: str) -> set[str]:
        """Every value that a label has in any of our own series."""
        own = [series for series in self.values if series.startswith("tusd_")]
        return {value for series in own for name, value in _LABEL.findall(series) if name == label}


def parse(text: str) -> Scrape:
    """Read the text format; AssertionError for anything that is not of it."""
    lines = text.splitlines()
    samples = [line for line in lines if not line.startswith("#")]
    matches = [_SAMPLE.fullmatch(line) for line in samples]
    assert None not in matches, samples[matches.index(None)]
    values = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in samples}
    assert len(values) == len(samples), "a series is there twice"
    types = dict(line.split()[2:] for line in lines if line.startswith("# TYPE "))
    return Scrape(values=values, types=types)


def scrape(origin: str, path: str = "/metrics") -> Scrape:
    """What the server has to tell now."""
    answer = fetch(f"{origin}{path}")
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parse(answer.body.decode())
