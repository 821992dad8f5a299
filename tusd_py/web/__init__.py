"""The HTTP edge: aiohttp, kept thin."""
