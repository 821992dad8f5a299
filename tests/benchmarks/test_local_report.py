"""The table and the plot of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.local.cases import CASES
from benchmarks.local.chart import chart
from benchmarks.local.contestants import choose
from benchmarks.local.measure import Measurement, Place
from benchmarks.local.report import raw, remarks, report
from benchmarks.local.run import Findings, Plan

ONE = CASES[0]
PLAN = Plan(
    contestants=choose("tusd-py,csink,tusd,nginx"),
    cases=(ONE,),
    places=(Place(key="tmpfs", folder=Path("/")),),
    rounds=3,
)


def measured(
    server: str, *rates: float, client: float = 0.5, others: float = 0.0, cores: float = 1.0
) -> list[Measurement]:
    """One measurement for each rate."""
    fixed = Measurement(
        case="one",
        place="tmpfs",
        server=server,
        round=0,
        rate=0,
        cpu=0.5,
        memory=50 * 2**20,
        cores=cores,
        client=client,
        others=others,
        slowest=1.0,
    )
    return [replace(fixed, round=number, rate=rate) for number, rate in enumerate(rates)]


def found(*rows: list[Measurement]) -> Findings:
    """What a run with these rows found."""
    return Findings(
        versions={"tusd-py": "1", "csink": "cc 12"},
        missing={"nginx": "there is no nginx here"},
        sizes={("one", "tmpfs"): ONE},
        measurements=[each for row in rows for each in row],
        failures={("one", "tmpfs", "tusd"): ["it ended | with exit status 1"]},
    )


def test_a_row_has_the_median_the_spread_and_the_ratio() -> None:
    """Of the same rounds."""
    text = report(PLAN, found(measured("tusd-py", 100, 110, 90), measured("csink", 200, 220, 180)), "a.svg")

    assert (
        "| 1 file of 1 GiB, tmpfs | tusd-py | 100 [90.0..110] MiB/s | 1.00 | 0.50 s/GiB (1.0) | 50 MiB |  |"
        in text
    )
    assert "| C receiver | 200 [180..220] MiB/s | 2.00 |" in text
    assert "Medians of 3 rounds" in text


def test_a_failure_and_what_is_not_installed_say_why() -> None:
    """A bar in a message does not break the table."""
    text = report(PLAN, found(measured("tusd-py", 100)), "a.svg")

    assert "failed once: it ended / with exit status 1" in text
    assert "- nginx, PUT: not installed: there is no nginx here" in text
    assert "ONE ROUND" in text


def test_a_difference_within_the_spread_is_called_none() -> None:
    """And one beyond it is not remarked on; nor is anything when there is one round."""
    base = measured("tusd-py", 100, 110, 90)

    assert remarks(measured("tusd", 95, 105, 85), base, 2) == "no difference: the spreads overlap"
    assert remarks(measured("tusd", 50, 60, 40), base, 2) == ""
    assert remarks(measured("tusd", 100), base[:1], 2) == ""


def test_the_load_generator_says_when_it_is_the_limit() -> None:
    """A server that it cannot keep busy could be faster still."""
    found = measured("csink", 900, 901, client=0.97)

    assert (
        remarks(found, measured("tusd-py", 1, 2), 2) == "the load generator is the limit (97% of its core)"
    )


def test_a_full_machine_is_told() -> None:
    """A server that takes more than one core is then slowed by the load generator, and slows it."""
    full, idle = measured("tusd", 900, cores=1.5, client=0.4), measured("tusd", 900, cores=1.0, client=0.4)

    assert remarks(full, full, 2) == "no core was idle"
    assert remarks(idle, idle, 2) == remarks(full, full, 4) == ""


def test_what_others_took_is_told() -> None:
    """A machine with something else to do measures that, too."""
    found = measured("tusd-py", 900, 901, others=0.4)

    assert remarks(found, found, 4) == "others took 40% of a core"


def test_the_plot_has_a_bar_for_every_row() -> None:
    """It is XML; the longest bar is the fastest server's."""
    picture = ET.fromstring(chart(PLAN, found(measured("tusd-py", 100, 90), measured("csink", 200))))

    name = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in picture.iter(f"{name}text")]
    widths = [
        float(each.get("width", "0")) for each in picture.iter(f"{name}rect") if each.get("width") != "100%"
    ]
    assert texts[-5:] == ["1 file of 1 GiB, tmpfs (MiB/s)", "tusd-py", "95.0", "C receiver", "200"]
    assert widths[-1] > 2 * widths[-2]


def test_all_measurements_are_kept_in_json() -> None:
    """One on a line."""
    rows = json.loads(raw(found(measured("tusd-py", 100.123456))))

    assert rows[0]["rate"] == 100.1235
    assert rows[0]["server"] == "tusd-py"
