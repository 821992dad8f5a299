"""The machine that is measured on, and what its processes take of it (proc(5))."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def describe_machine() -> str:
    """Cores, processor, memory, kernel and Python, in one line."""
    model = _first(r"model name\s*: (.+)", "/proc/cpuinfo") or platform.machine()
    memory = int(_first(r"MemTotal:\s+(\d+)", "/proc/meminfo") or 0) / 2**20
    return (
        f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB of memory, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, such as ext4."""
    best, found = -1, "unknown"
    place = folder.resolve()
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, point, kind, *_ = line.split()
        if place.is_relative_to(point) and len(point) >= best:
            best, found = len(point), kind
    return found


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    return int(_first(r"MemAvailable:\s+(\d+)", "/proc/meminfo") or 0) * 1024


def busy_seconds() -> float:
    """What all processors together have worked so far, waiting not included."""
    fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in fields[:7])
    return (user + nice + system + irq + softirq) / TICKS


def process_tree(pid: int) -> list[int]:
    """A process and all that come of it; empty when it is gone."""
    children: dict[int, list[int]] = {}
    alive = set()
    for each in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(each.name))
        if fields:
            alive.add(int(each.name))
            children.setdefault(int(fields[1]), []).append(int(each.name))
    found = [pid] if pid in alive else []
    for each_pid in found:  # grows while it is gone through
        found += children.get(each_pid, [])
    return found


def is_running(pid: int) -> bool:
    """There is such a process, and it does not only wait for somebody to notice its end."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in {"Z", "X"}


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, of all that come of it and of those that it has waited for."""
    stats = (_stat(each) for each in process_tree(pid))
    return sum(sum(int(field) for field in fields[11:15]) for fields in stats if fields) / TICKS


def peak_memory(pid: int) -> int:
    """The most physical memory each process of a tree had (VmHWM), added up, in bytes."""
    found = (_first(r"VmHWM:\s+(\d+) kB", f"/proc/{each}/status") for each in process_tree(pid))
    return sum(int(each) for each in found if each) * 1024


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on, which is the third; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _first(expression: str, file: str) -> str | None:
    try:
        found = re.search(expression, Path(file).read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
    return found[1] if found else None
