"""Addresses that would hide each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEALTH = {"/healthz", "/readyz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One address besides those of uploads: the setting that chooses it, its path, and the usual one."""

    field: str
    path: str
    usual: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PathConflict:
    """Which setting is wrong, and what is wrong with it."""

    field: str
    problem: str


def find_conflict(base: str, public: str, form: str, pages: Sequence[Page]) -> PathConflict | None:
    """The first thing that is wrong with these paths; pages that are not served are left out of them.

    A base path of "/" is told apart: what is served under a path of its own goes before uploads.
    """
    if public == "/":
        problem = "'/' would hide every other address; give a path such as /uploads/"
        return PathConflict(field="public_path", problem=problem)
    if public == base or (base != "/" and public.startswith(base)):
        problem = f"{public!r} lies within base_path {base!r}; two separate paths are"
        return PathConflict(field="public_path", problem=f"{problem} needed, such as /files/ and /uploads/")
    problem = _problem_with_form(form, {"base_path": base, "public_path": public})
    if problem:
        return PathConflict(field="form_path", problem=problem)
    folders = {"base_path": base, "public_path": public, "form_path": form}
    taken: dict[str, str] = {}
    for page in pages:
        problem = _problem_with(page, folders, taken)
        if problem:
            return PathConflict(field=page.field, problem=problem)
        taken[page.path] = page.field
    return None


def _problem_with_form(form: str, folders: dict[str, str]) -> str:
    if form == "/":
        return "'/' would hide every other address; give a path such as /file/"
    for name, folder in folders.items():
        if folder != "/" and (form.startswith(folder) or folder.startswith(form)):
            within = f"{form!r} and {name} {folder!r} lie within each other"
            return f"{within}; separate paths are needed, such as /file/"
    return ""


def _problem_with(page: Page, folders: dict[str, str], taken: dict[str, str]) -> str:
    for name, folder in folders.items():
        if folder != "/" and f"{page.path}/".startswith(folder):
            within = f"{page.path!r} lies within {name} {folder!r}"
            return f"{within}; a path of its own is needed, such as {page.usual}"
    if page.path in _HEALTH:
        return f"{page.path!r} is a health check; give a path such as {page.usual}"
    if page.path in taken:
        return f"{page.path!r} is {taken[page.path]}, too; give a path such as {page.usual}"
    return ""
