"""Ask the server how it is set up, under ``check --deploy``. Nothing is changed."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.core.checks import CheckMessage
from redis.exceptions import ResponseError

from expire_sessions.checks.cache import UsableCache, usable_cache
from expire_sessions.checks.messages import Section, error, warning
from expire_sessions.checks.rights import check_rights
from expire_sessions.transport.redis_caches import close

__all__ = ["check_server"]

OLDEST_SERVER: Final = (6, 2)
"""The oldest that the tests run on."""


def check_server(**kwargs: Any) -> list[CheckMessage]:
    """W031 to E033, W035, E036, W040: what the server allows, how it is set up."""
    usable = usable_cache()
    if usable is None:
        return []
    try:
        return _ask(usable)
    finally:
        close(usable.client)


def _ask(usable: UsableCache) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    try:
        for check in CHECKS:
            messages.extend(check(usable))
    except Exception as problem:  # noqa: BLE001 - a check never raises
        text = (
            "Redis could not be asked how it is set up:"
            f" {type(problem).__name__}: {problem}"
        )
        messages.append(warning("W035", text, Section.SERVER))
    return messages


def _check_rights(usable: UsableCache) -> Iterator[CheckMessage]:
    yield from check_rights(usable.client, usable.keys)


def _check_version(usable: UsableCache) -> Iterator[CheckMessage]:
    version = str(usable.client.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_SERVER:
        text = f"Redis {version} is too old: 6.2 is the oldest that is supported."
        yield error("E033", text, Section.SERVER)


def _check_eviction(usable: UsableCache) -> Iterator[CheckMessage]:
    policy = usable.client.info("memory").get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        text = (
            f"maxmemory-policy is {policy}: a full Redis drops sessions, which signs"
            " people out, and indexes, which loosens the limit. Set noeviction."
        )
        yield warning("W031", text, Section.SERVER)


def _check_persistence(usable: UsableCache) -> Iterator[CheckMessage]:
    if usable.client.info("persistence").get("aof_enabled"):
        return
    # None: managed services do not tell, and keep their own snapshots.
    if _configured(usable, "save") == "":
        text = (
            "Redis keeps nothing on disk: a restart signs everybody out. Set"
            " appendonly yes, or save points."
        )
        yield warning("W032", text, Section.SERVER)


def _check_replicas(usable: UsableCache) -> Iterator[CheckMessage]:
    replicas = usable.client.info("replication").get("connected_slaves", 0)
    if replicas and _configured(usable, "min-replicas-to-write") == "0":
        text = (
            "The server has replicas, and min-replicas-to-write is 0: it goes on taking"
            " logins that no replica has, and a failover loses them."
        )
        hint = "Set min-replicas-to-write 1."
        yield warning("W040", text, Section.SENTINEL, hint)


def _configured(usable: UsableCache, name: str) -> str | None:
    """Return an option of the server; None where it does not tell."""
    try:
        value: str | None = usable.client.config_get(name).get(name)
    except ResponseError:
        return None
    return value


CHECKS: Final[tuple[Callable[[UsableCache], Iterator[CheckMessage]], ...]] = (
    _check_rights,
    _check_version,
    _check_eviction,
    _check_persistence,
    _check_replicas,
)
