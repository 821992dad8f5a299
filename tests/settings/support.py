"""Short words for what the tests here do all the time."""

from pathlib import Path

import pytest

from tusd_py.settings import SettingsError, load_settings


def write_config(text: str) -> str:
    """A configuration file in the current folder."""
    Path("tusd.toml").write_text(text, encoding="utf-8")
    return "tusd.toml"


def complaint(argv: list[str]) -> str:
    """The line that `argv` is refused with."""
    with pytest.raises(SettingsError) as caught:
        load_settings(argv)
    return str(caught.value)
