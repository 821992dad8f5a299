"""The S3 store keeps every promise of the Store port, on a real server and on what stands for it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.stores.s3_bench import make_fake_store, make_store
from tests.stores.s3_fake import FakeS3
from tusd_py.stores.s3_parts import MIB
from tusd_py.testing import STORE_CHECKS, run_store_check

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.seaweed import SeaweedProcess
    from tusd_py.testing.kit import OpenAgain, StoreCheck


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_s3_keeps_its_promise(seaweed: SeaweedProcess, check: StoreCheck) -> None:
    """One rule of tusd_py.testing on SeaweedFS: the assertions are in the check."""
    prefix = seaweed.fresh_prefix()

    @asynccontextmanager
    async def open_s3() -> AsyncIterator[OpenAgain]:
        yield lambda: make_store(seaweed, prefix)

    await run_store_check(check, open_s3)


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_s3_keeps_its_promise_on_the_fake(check: StoreCheck) -> None:
    """One rule of tusd_py.testing on FakeS3, which stands for a server where faults are scripted."""

    @asynccontextmanager
    async def open_fake() -> AsyncIterator[OpenAgain]:
        server = FakeS3()
        yield lambda: make_fake_store(server, part_size=5 * MIB)

    await run_store_check(check, open_fake)
