"""Every setting: one field, one flag, one `TUSD_PY_` variable, one key of a TOML file.

Nothing else in the package reads flags, the environment or the configuration file.
"""

from tusd_py.settings.fields import Settings, SettingsError
from tusd_py.settings.flags import CommandLine, Option, help_text
from tusd_py.settings.load import load_arguments, load_command, load_settings

__all__ = [
    "CommandLine",
    "Option",
    "Settings",
    "SettingsError",
    "help_text",
    "load_arguments",
    "load_command",
    "load_settings",
]
