"""Finding a processor by its name, and saying in one line why one cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tusd_py.processors.targets import TargetError, adapt, load_processor
from tusd_py.processors.threads import Threaded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tusd_py.core.model import Upload

MODULE = """
async def blocks_not(upload, pieces): ...
def blocks(upload, pieces): ...
def one_argument(upload): ...
class Namespace:
    @staticmethod
    async def inner(upload, pieces): ...
class Callable:
    async def __call__(self, upload, pieces): ...
instance = Callable()
text = "no function"
"""
NOT_FOUND = "ModuleNotFoundError: No module named"
LACKING = "AttributeError: module 'ours_to_try' has no attribute 'f'"
OFFERED = "is no entry point of tusd_py.processors (broken, thumbnails)"
PLACE = "package.module:callable, installed or on PYTHONPATH"
ARGUMENTS = "a function of two arguments, an upload and its pieces"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that modules are imported from, with one of ours and an installed package."""
    (tmp_path / "ours_to_try.py").write_text(MODULE)
    (tmp_path / "broken_to_try.py").write_text("import nothing\n")
    info = tmp_path / "to_try-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: to-try\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tusd_py.processors]\nthumbnails = ours_to_try:blocks_not\nbroken = broken_to_try:any\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for module in ("ours_to_try", "broken_to_try"):
        sys.modules.pop(module, None)


@pytest.mark.parametrize("name", ["ours_to_try:blocks_not", "ours_to_try:Namespace.inner", "thumbnails"])
def test_a_coroutine_function_is_called_as_it_is(name: str, site: Path) -> None:
    """Whether it is named by its module or as the entry point of a package."""
    processor = load_processor(name, threads=1)

    assert getattr(processor, "__module__", "") == "ours_to_try"


def test_an_object_may_be_called(site: Path) -> None:
    """One whose call is a coroutine function: it can be set up when its module is imported."""
    assert type(load_processor("ours_to_try:instance", threads=1)).__name__ == "Callable"


def test_any_other_function_gets_a_thread(site: Path) -> None:
    """What blocks must not block the server."""
    assert isinstance(load_processor("ours_to_try:blocks", threads=1), Threaded)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("not_there:f", f"'not_there:f' cannot be imported: {NOT_FOUND} 'not_there'; {PLACE}"),
        ("ours_to_try:f", f"'ours_to_try:f' cannot be imported: {LACKING}; {PLACE}"),
        ("broken_to_try:f", f"'broken_to_try:f' cannot be imported: {NOT_FOUND} 'nothing'; {PLACE}"),
        ("broken", f"'broken' cannot be imported: {NOT_FOUND} 'nothing'; a package that works"),
        ("stranger", f"'stranger' {OFFERED}; package.module:callable"),
        ("ours_to_try:text", "'ours_to_try:text' is no function; a function of an upload and its pieces"),
        (
            "ours_to_try:Callable",
            "'ours_to_try:Callable' is no function; a function of an upload and its pieces",
        ),
        (
            "ours_to_try:one_argument",
            f"'ours_to_try:one_argument' cannot be called: too many positional arguments; {ARGUMENTS}",
        ),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(name: str, line: str, site: Path) -> None:
    """Which one, what is wrong with it, what would do."""
    with pytest.raises(TargetError) as caught:
        load_processor(name, threads=1)

    assert str(caught.value) == line


def test_a_bound_method_may_be_given() -> None:
    """`create_app` takes whatever can be called with an upload and its pieces."""

    class Own:
        async def process(self, upload: Upload, pieces: AsyncIterator[bytes]) -> None: ...

    own = Own()

    assert adapt("own", own.process, threads=1) == own.process
