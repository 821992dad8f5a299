"""How long the engine waits for what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: how long a request waits for an upload's lock, how long a holder may be silent before
    a HEAD takes the upload over from it, how often a running body asks the hooks, and how often who
    follows an upload looks for what came to another process."""

    lock_timeout: float = 20.0
    holder_silence: float = 1.0
    progress_interval: float = 1.0
    follow_interval: float = 0.5
