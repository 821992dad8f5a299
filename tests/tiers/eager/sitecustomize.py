"""Python imports this at its start where the folder is in PYTHONPATH: bodies go past aiohttp from their
first byte, and to a thread as soon as they can, in many small pieces."""

from tusd_py.web import body, bypass, pouring

bypass.BUFFER = 4096
bypass._CAUTIOUS = 1024
bypass._WORTH_A_THREAD = 1
pouring.WORTH_POURING = 1
vars(body)["WORTH_POURING"] = 1
