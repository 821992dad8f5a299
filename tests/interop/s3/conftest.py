"""The fixtures of the folder above, with S3 below the server and tus-js-client in Node alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.s3_server import S3ServerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.interop.clients import NodeClient
    from tests.support.seaweed import SeaweedProcess


@pytest.fixture(scope="session")
def server(seaweed: SeaweedProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3ServerProcess]:
    """It gives up a silent body after 2 s."""
    folder = tmp_path_factory.mktemp("server-on-s3") / "storage"
    with S3ServerProcess(seaweed, folder, "--network-timeout", "2s") as process:
        yield process


@pytest.fixture
def client(node_client: NodeClient) -> NodeClient:
    """A browser sends no other bytes."""
    return node_client
