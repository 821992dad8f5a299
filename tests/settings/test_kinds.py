"""What values mean once they are accepted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tusd_py.settings import load_settings
from tusd_py.settings.kinds import format_duration, parse_duration


@pytest.mark.parametrize(
    ("max_size", "max_local", "effective"),
    [("0", "0", None), ("0", "5", 5), ("7", "0", 7), ("7", "5", 5), ("5", "7", 5)],
)
def test_the_smaller_limit_holds_and_zero_is_none(
    max_size: str, max_local: str, effective: int | None
) -> None:
    """0 sets no limit; of two limits the smaller one is in force."""
    settings = load_settings(["--max-size", max_size, "--max-local-file-size", max_local])

    assert settings.effective_max_size == effective


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604800), ("500ms", 0.5), ("1h30m", 5400)],
)
def test_a_duration_has_units(text: str, seconds: float) -> None:
    """Seconds without a unit, and ms, s, m, h, d."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(86400, "1d"), (5400, "90m"), (7200, "2h"), (90, "90s"), (0.5, "500ms"), (0, "0s")],
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    """What people read is what they would have written."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize("text", ["", "s", "-1", "1 h", "1y", "1e3", "inf", "nan", "90S90", "٣"])
def test_a_duration_is_read_whole(text: str) -> None:
    """What is not understood is refused, not guessed."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**6))
def test_a_duration_survives_being_shown(milliseconds: int) -> None:
    """What the help prints as a default can be typed in again."""
    assert parse_duration(format_duration(milliseconds / 1000)) == pytest.approx(milliseconds / 1000)
