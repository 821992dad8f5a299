"""What a field of the settings is called by people, and what they are told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tusd_py.settings.kinds import Kind

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ENV_PREFIX = "TUSD_PY_"


def flag_of(name: str) -> str:
    """The command line flag of a field."""
    return "--" + name.replace("_", "-")


def variable_of(name: str) -> str:
    """The environment variable of a field."""
    return ENV_PREFIX + name.upper()


def kind_of(field: FieldInfo) -> Kind:
    """How values of a field are written."""
    return next(mark for mark in field.metadata if isinstance(mark, Kind))


def group_of(field: FieldInfo) -> str:
    """The heading a field stands under."""
    match field.json_schema_extra:
        case {"group": str(group)}:
            return group
        case _:
            raise LookupError(f"{field!r} has no group")


def other_flag_of(field: FieldInfo) -> str | None:
    """A second name of the flag, where people know it by another."""
    match field.json_schema_extra:
        case {"also": str(name)} if name:
            return flag_of(name)
        case _:
            return None


def default_of(field: FieldInfo) -> str:
    """The default as people write it; empty where there is none."""
    return kind_of(field).format(field.default)
