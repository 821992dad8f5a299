"""What nobody foresaw: told where bugs are told, while everything else goes on."""

from __future__ import annotations

import asyncio


def tell(deed: str, error: Exception) -> None:
    """Let the event loop's exception handler know that `deed` failed."""
    context = {"message": f"{deed} failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
