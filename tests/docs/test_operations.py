"""docs/operations.md: error codes and addresses are what the code says."""

from __future__ import annotations

import re

from tests.docs.pages import ROOT, codes, read, rows
from tusd_py.protocol.answers import ANSWERS, INTERRUPTIONS, UNEXPECTED

ROWS = rows(read("docs/operations.md"), r"`ERR_[A-Z_]+`")


def test_every_error_code_has_one_row() -> None:
    """The codes in the package and those in the manual are the same."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tusd_py").rglob("*.py"))
    spoken = {code for source in sources for code in re.findall(r"ERR_[A-Z_]*[A-Z]", source)}
    documented = [codes(row[0])[0] for row in ROWS]

    assert sorted(documented) == sorted(spoken)


def test_the_manual_tells_each_code_s_status() -> None:
    """Every status with which a code is sent on its own is the one in its row."""
    answers = [*ANSWERS.values(), *INTERRUPTIONS.values(), UNEXPECTED]
    documented = {codes(row[0])[0]: int(row[1]) for row in ROWS}

    assert {(answer.code, answer.status) for answer in answers} <= set(documented.items())


def test_no_answer_is_one_that_clients_misread() -> None:
    """408 and 429 are final for tus-js-client, which would retry 5xx; so neither is sent (C-09, C-10)."""
    statuses = {int(row[1]) for row in ROWS}

    assert statuses.isdisjoint({408, 429})
