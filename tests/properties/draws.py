"""What Hypothesis draws: bodies and their sums, settings, and what goes wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from tests.properties.model import ALGORITHMS, MAX_SIZE, Known, Sent, Stated, Truth
from tests.properties.stage import Fate, Stage
from tests.properties.storages import CrashError
from tusd_py.core.errors import StoreError
from tusd_py.core.model import Lifetime, UploadKind, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.testing import After

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = timedelta(seconds=1)

lengths = st.integers(0, MAX_SIZE + 4)
ends = st.sampled_from([BodyEnd.WHOLE] * 6 + [end for end in BodyEnd if end is not BodyEnd.TOO_LONG])
faults = st.one_of(
    st.builds(StoreError, st.just("scripted")),
    st.builds(lambda: After(StoreError("scripted"))),
    st.builds(CrashError),
    st.builds(lambda: After(CrashError())),
)
lifetimes = st.sampled_from(
    [
        Lifetime(),
        Lifetime(unfinished=100 * SECONDS),
        Lifetime(unfinished=100 * SECONDS, sliding=False),
        Lifetime(unfinished=100 * SECONDS, finished=60 * SECONDS),
        Lifetime(finished=60 * SECONDS),
    ]
)
spans = st.sampled_from([40, 60, 100])
"""Seconds: short of every time in force, and to the end of each."""


def keys(wanted: Callable[[Known], bool] = lambda upload: True) -> st.SearchStrategy[str]:
    """Mostly an upload as it is wanted, sometimes any that ever was asked for."""

    def choose(stage: Stage) -> st.SearchStrategy[str]:
        likely = [key for key, upload in stage.world.uploads.items() if wanted(upload)]
        ever = st.sampled_from([f"upload-{number + 1}" for number in range(stage.count)])
        return st.one_of(*[st.sampled_from(likely)] * 8, ever) if likely else ever

    return st.runner().flatmap(choose)


def has_room(stage: Stage) -> bool:
    """Few uploads are there, so that much happens to each of them."""
    return len(stage.world.uploads) < 10


def is_part(upload: Known) -> bool:
    """A final can be made of it, now or later."""
    return upload.kind is UploadKind.PARTIAL and upload.state is not UploadState.EXPIRED


def is_open(upload: Known) -> bool:
    """It can take bytes, if its time is not over."""
    return not upload.is_final and upload.state is UploadState.OPEN


def is_unfinished(upload: Known) -> bool:
    """It has not come to its end."""
    return upload.state in {UploadState.OPEN, UploadState.COMPLETING}


def fates(*calls: str) -> st.SearchStrategy[Fate | None]:
    """Nothing happens, or one of these calls of the storage goes wrong."""
    strikes = st.builds(Fate, st.sampled_from(calls), st.sampled_from([0, 0, 0, 1, 1, 2]), faults)
    return st.none() | strikes


@st.composite
def sums(draw: st.DrawFn) -> Stated:
    """A checksum in the head or the trailer, right more often than not."""
    in_trailer = draw(st.booleans())
    truths = [Truth.RIGHT] * 6 + [truth for truth in Truth if in_trailer or truth is not Truth.MISSING]
    return Stated(
        algorithm=draw(st.sampled_from(ALGORITHMS)),
        truth=draw(st.sampled_from(truths)),
        in_trailer=in_trailer,
    )


@st.composite
def bodies(draw: st.DrawFn) -> Sent:
    """A body in pieces. One that is cut may have been announced as longer, never as shorter."""
    pieces = tuple(draw(st.lists(st.binary(min_size=1, max_size=20), max_size=4)))
    end = draw(ends)
    size = sum(map(len, pieces))
    missing = 0 if end is BodyEnd.WHOLE else draw(st.integers(0, 20))
    return Sent(
        pieces=pieces,
        end=end,
        announced=draw(st.sampled_from([None, size + missing])),
        stated=draw(st.one_of(st.none(), st.none(), sums())),
    )
