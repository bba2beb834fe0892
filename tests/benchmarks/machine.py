"""On what it was measured: versions and machine, and nothing that names anybody."""

import importlib.util
import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from redis import Redis

from tests.benchmarks.contenders import CONTENDERS

__all__ = [
    "describe",
    "postgresql_version",
    "server_version",
    "stay_on_one_processor",
]

OTHERS = ("asgiref", "django-redis", "gunicorn", "psycopg", "redis", "uvicorn")


def stay_on_one_processor() -> None:
    """Keep this process, and all that it starts, on one processor, where one can.

    Who asks and who answers never work at the same time here. On two processors each
    wakes the other's, which takes 5 to 80 µs of a load that takes 40, and in a virtual
    machine now the one and now the other: noise of 5 %, and 50 % at its worst. On
    one it is 2 %. To see the other figures: ``--all-processors``.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def describe(redis_url: str, database: str) -> dict[str, Any]:
    """Return versions and machine."""
    return {
        "machine": {
            "cpu": _field("/proc/cpuinfo", "model name") or platform.processor(),
            "cores": os.cpu_count(),
            "cores_used": _used(),
            "memory_gib": _memory(),
            "system": platform.system(),
            "kernel": platform.release(),
        },
        "versions": {
            "Python": platform.python_version(),
            **{name: _version(name) for name in _distributions()},
            "hiredis": _version("hiredis"),
            "Redis server": _server(redis_url),
            "database": database,
        },
    }


def postgresql_version(entry: dict[str, Any]) -> str:
    """Ask a PostgreSQL for its version."""
    psycopg = importlib.import_module("psycopg")
    with psycopg.connect(
        host=entry["HOST"], user=entry["USER"], dbname="postgres"
    ) as connection:
        number = connection.info.server_version
    return f"PostgreSQL {number // 10000}.{number % 10000}, fsync=off"


def _distributions() -> list[str]:
    return sorted({*OTHERS, *(each.distribution for each in CONTENDERS)})


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def server_version(info: Mapping[str, Any]) -> str:
    """Return name and version of a server, from its INFO."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    return f"{name} {info.get('valkey_version') or info['redis_version']}"


def _server(url: str) -> str:
    with Redis.from_url(url) as client:
        info: Any = client.info("server")
    return server_version(info)


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith(name)), ""
    )


def _used() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _memory() -> float:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return round(size / 2**30, 1)
