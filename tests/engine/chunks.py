"""Files in chunks, for the tests of the assembler."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from tests.engine.joins import finished
from tusd_py.core.assembly import Assemble, PutChunk, chunk_id
from tusd_py.core.model import Metadata, Upload, UploadState
from tusd_py.core.outcomes import BodyEnd
from tusd_py.engine.assembly import Assembler
from tusd_py.testing import ScriptedBody
from tusd_py.testing.kit import ids, sample

if TYPE_CHECKING:
    import asyncio

    from tests.engine.scene import Scene

FILE = "f1e00000000000000000000000000001"
CHUNKS = [sample(size, seed) for seed, size in enumerate((3000, 1, 70_001))]
WHOLE = b"".join(CHUNKS)
WAV = Metadata.of(filename=f"{FILE}.wav", filetype="audio/wav")


class Caller:
    """Sends chunks of one file to the engine of a scene, as it is then. Tokens are `token-1`, ..."""

    def __init__(self, scene: Scene, *, tokens: bool = False, file_id: str = FILE) -> None:
        self._scene = scene
        self._tokens = tokens
        self._file_id = file_id
        self._made = (f"token-{number}" for number in count(1))

    @property
    def assembler(self) -> Assembler:
        """A new one, which knows nothing but what is stored."""
        return Assembler(self._scene.engine, new_token=lambda: next(self._made), tokens=self._tokens)

    async def put(
        self,
        index: int,
        *script: bytes | asyncio.Event,
        total: int = len(CHUNKS),
        token: str | None = None,
        end: BodyEnd = BodyEnd.WHOLE,
        body: ScriptedBody | None = None,
    ) -> str | None:
        """One chunk, that of CHUNKS unless a script says else; the token in the answer."""
        intent = PutChunk(
            file_id=self._file_id, index=index, total=total, file_type="audio/wav", token=token
        )
        return await self.assembler.put(intent, body or ScriptedBody(script or (CHUNKS[index],), end))

    async def put_all(self) -> None:
        """Every chunk, the last one first."""
        for index in reversed(range(len(CHUNKS))):
            await self.put(index)

    async def finalize(self, *, token: str | None = None, metadata: Metadata = WAV) -> Upload:
        """The whole is asked for."""
        return await self.assembler.assemble(
            Assemble(file_id=self._file_id, metadata=metadata, token=token)
        )

    def chunk(self, index: int) -> str:
        """The id of a chunk."""
        return chunk_id(self._file_id, index)


async def check_done(scene: Scene, caller: Caller) -> None:
    """The file is there, whole and published, and nothing else is."""
    done = await caller.finalize()

    assert (done.id, done.name, done.state) == (FILE, f"{FILE}.wav", UploadState.COMPLETE)
    assert await scene.stored(FILE) == WHOLE
    assert await ids(scene.store) == [FILE]
    assert finished(scene) == [FILE]
