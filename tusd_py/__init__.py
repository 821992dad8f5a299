"""tusd_py: a resumable upload server (tus 1.0.0) on aiohttp that does not lose or invent a byte."""

__version__ = "0.1.0"
