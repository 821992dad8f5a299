"""What people read about the settings is what the fields say."""

from pathlib import Path

import pytest

from tusd_py.settings import Settings, help_text, load_settings
from tusd_py.settings.naming import default_of, flag_of, group_of, kind_of, variable_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_help_explains_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field: flag with its kind of value, description, variable and default."""
    monkeypatch.setenv("COLUMNS", "400")
    text = help_text()

    for name, field in Settings.model_fields.items():
        default = f", default {default_of(field)}" if default_of(field) else ""
        metavar = kind_of(field).metavar
        value = f"[{metavar}]" if field.annotation is bool else metavar
        assert (
            f"  {flag_of(name)} {value}\n      {field.description}\n      [{variable_of(name)}{default}]\n"
            in text
        )
        assert f"\n{group_of(field)}:\n" in text


def test_defaults_are_shown_in_a_form_that_is_accepted() -> None:
    """Typing the default that the help shows changes nothing."""
    shown = {name: default_of(field) for name, field in Settings.model_fields.items()}
    argv = [f"{flag_of(name)}={default}" for name, default in shown.items()]

    assert load_settings(argv) == load_settings([])


def documented_row(name: str) -> str:
    """The row of the table in docs/operations.md that a field asks for."""
    field = Settings.model_fields[name]
    kind = kind_of(field)
    default = f"`{default_of(field)}`" if default_of(field) else "none"
    return (
        f"| `{flag_of(name)}` | `{variable_of(name)}` | `{name}` | {default} |"
        f" {kind.unit or kind.accepted} | {field.description} |"
    )


def test_the_operations_manual_has_a_row_for_every_setting_and_no_other() -> None:
    """docs/operations.md, Settings: the table is what the fields say, word for word."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("## Settings\n")[2].partition("\n## ")[0]

    config = "| `--config` | `TUSD_PY_CONFIG` | | none | the path of a file |"
    rows = [line for line in section.splitlines() if line.startswith("| `--")]

    assert rows == [
        f"{config} Read settings from this TOML file. |",
        *map(documented_row, Settings.model_fields),
    ]
