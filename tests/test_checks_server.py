"""What ``check --deploy`` finds out about a server, on servers that are set up so."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.checks import run_checks
from django.test import override_settings

from example_project.redis_server import RedisServer
from expire_sessions.backend import SessionStore
from expire_sessions.checks import check_server
from expire_sessions.checks import server as server_checks
from expire_sessions.protocol import scripts
from expire_sessions.sessions import UserSessions
from tests.found import deployed, ids
from tests.sentinels import free_port
from tests.server_plugin import another_server
from tests.sessions import sign_in


def found_on(server: RedisServer, **changes: Any) -> set[str]:
    """Return what is found on a server."""
    with override_settings(**deployed(server.url, **changes)):
        return ids(check_server())


def words_on(server: RedisServer, **changes: Any) -> str:
    """Return the texts of what is found on a server, one on each line."""
    with override_settings(**deployed(server.url, **changes)):
        return "\n".join(f"{message.id} {message.msg}" for message in check_server())


def test_deploy_tells_that_the_server_could_not_be_asked() -> None:
    """There is none at this address."""
    with override_settings(**deployed()):
        assert ids(run_checks(include_deployment_checks=True)) == {"W035"}


SERVERS = {
    "keeps everything": (["--appendonly", "yes"], set()),
    "has save points": (["--save", "3600", "1"], set()),
    "keeps nothing": ([], {"W032"}),
    "may evict": (
        ["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"],
        {"W031"},
    ),
    "may evict what has an age, as sessions have": (
        ["--appendonly", "yes", "--maxmemory-policy", "volatile-ttl"],
        {"W031"},
    ),
    "is managed, and does not tell": (["--rename-command", "CONFIG", ""], set()),
    "tells nothing at all": (["--rename-command", "INFO", ""], {"W035"}),
}


@pytest.mark.parametrize("case", SERVERS)
def test_deploy_finds_how_the_server_is_set_up(case: str) -> None:
    options, expected = SERVERS[case]
    with another_server(*options) as server:
        assert found_on(server) == expected


@pytest.mark.parametrize("oldest,found", [((0, 100), False), ((10**9, 0), True)])
def test_an_old_server_is_found(
    oldest: tuple[int, int],
    found: bool,
    own: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """None is as old as the oldest that is supported: let that be another."""
    monkeypatch.setattr(server_checks, "OLDEST_SERVER", oldest)
    assert ("E033" in found_on(own)) is found


@pytest.fixture(scope="module")
def own() -> Iterator[RedisServer]:
    """A server in order, to do things to."""
    with another_server("--appendonly", "yes") as server:
        yield server


def client_of(server: RedisServer) -> redis.Redis:
    """Return a client that may do everything."""
    return redis.Redis.from_url(server.url)


Allow = Callable[..., dict[str, Any]]


@pytest.fixture
def allow(own: RedisServer) -> Iterator[Allow]:
    """Give a user of the server these rights, and return the cache that it is in."""

    def allow(*rights: str) -> dict[str, Any]:
        with client_of(own) as client:
            user = ("ACL", "SETUSER", "site", "reset", "on", ">secret")
            client.execute_command(*user, *rights)
        return {"OPTIONS": {"USERNAME": "site", "PASSWORD": "secret"}}

    yield allow
    with client_of(own) as client:
        client.execute_command("ACL", "DELUSER", "site")
        client.flushall()


LUA = Path(str(scripts.__file__)).parent / "lua"
IN_SCRIPTS = {
    command
    for path in LUA.glob("*.lua")
    for command in re.findall(
        r'redis\.p?call\("(\w+)"', path.read_text(encoding="utf-8")
    )
}
PROBED = re.findall(
    r'^  \{"(\w+)"', LUA.joinpath("probe.lua").read_text(encoding="utf-8"), re.MULTILINE
)
OUTSIDE = ["EVAL", "EVALSHA", "SCAN", "ZSCAN"]
NEEDED = [f"+{command.lower()}" for command in [*PROBED, *OUTSIDE]]


ALL_KEYS = [
    f"~site:1:{name}*"
    for name in (
        "django.contrib.sessions.cache",
        "expire_sessions:index:",
        "expire_sessions:made:",
        "expire_sessions:moved:",
        "expire_sessions:life:",
        "expire_sessions:mark:",
    )
]


README = Path(__file__).parent.parent / "README.md"


def test_the_rights_are_those_of_the_readme() -> None:
    (rights,) = re.findall(
        r"ACL SETUSER (.+?)\n```", README.read_text(encoding="utf-8"), re.DOTALL
    )
    assert {*re.findall(r"\+\w+", rights)} == set(NEEDED)


def test_every_command_of_every_script_is_probed() -> None:
    assert IN_SCRIPTS
    assert set(PROBED) >= IN_SCRIPTS


@pytest.mark.parametrize("command", [*PROBED, *OUTSIDE])
def test_a_right_that_is_missing_is_found(
    command: str, own: RedisServer, allow: Allow
) -> None:
    cache = allow("~*", "+@all", f"-{command.lower()}")
    assert found_on(own, **cache) == {"E036"}
    words = r".*(no permissions to run|can't run this command).*\.$"
    assert re.search(rf"E036 .*\({command}\): {words}", words_on(own, **cache))


@pytest.mark.parametrize(
    "rights",
    [
        ("~*", "+@all", "-@scripting"),
        ("~*", "+@all", "-@sortedset"),
        ("~*", "+@all", "-@write"),
        ("~*", "+@read"),
        ("~another_site:*", "+@all"),
        ("~site:1:django.contrib.sessions.cache*", "+@all"),
        (*ALL_KEYS[1:], "+@all"),
        (*ALL_KEYS[:1], *ALL_KEYS[2:], "+@all"),
        (*ALL_KEYS[:2], *ALL_KEYS[3:], "+@all"),
        (*ALL_KEYS[:3], "+@all"),
        (),
    ],
)
def test_rights_in_which_nothing_works_are_found(
    rights: tuple[str, ...], own: RedisServer, allow: Allow
) -> None:
    assert "E036" in found_on(own, **allow(*rights))


def test_the_rights_to_the_keys_of_sessions_are_enough(
    own: RedisServer, allow: Allow
) -> None:
    assert found_on(own, **allow(*ALL_KEYS, "+@all")) == set()


def test_three_rights_more_are_enough_for_the_checks(
    own: RedisServer, allow: Allow
) -> None:
    """And for a database number other than 0."""
    cache = allow("~site:*", *NEEDED, "+select", "+info", "+config|get")
    with override_settings(**deployed(own.url.replace("db=0", "db=1"), **cache)):
        assert ids(check_server()) == set()


@pytest.mark.django_db
def test_what_is_probed_is_all_that_the_engine_needs(
    own: RedisServer, allow: Allow, ann: Any
) -> None:
    cache = allow("~site:*", *NEEDED)
    assert found_on(own, **cache) == {"W035"}  # INFO is for the checks alone
    with override_settings(EXPIRE_TOUCH_INTERVAL=0, **deployed(own.url, **cache)):
        first = sign_in(ann)
        second = sign_in(ann)
        assert "_auth_user_id" not in SessionStore(first.session_key)
        assert SessionStore(second.session_key).load() == dict(second.items())
        second.cycle_key()
        sessions = UserSessions(ann, second.session_key)
        (info,) = sessions.list()
        assert info.is_current
        SessionStore.clear_expired()
        with override_settings(EXPIRE_MAX_USERS=3):
            third = sign_in(ann)
        sessions.end_others()
        assert not SessionStore().exists(third.session_key)
        second.flush()
        sessions.end_all()


def test_nothing_is_written(own: RedisServer) -> None:
    with client_of(own) as client:
        client.flushall()
        before = client.info("persistence")["rdb_changes_since_last_save"]
        assert found_on(own) == set()
        assert client.info("persistence")["rdb_changes_since_last_save"] == before
        assert client.dbsize() == 0


def test_a_full_server_is_found(own: RedisServer) -> None:
    with client_of(own) as client:
        client.config_set("maxmemory", "1")
        words = words_on(own)
        client.config_set("maxmemory", "0")
    assert re.search(r"E036 .*\(SET\): OOM .*memory", words)


def test_a_server_that_misses_its_replicas_is_found(own: RedisServer) -> None:
    with client_of(own) as client:
        client.config_set("min-replicas-to-write", "1")
        words = words_on(own)
        client.config_set("min-replicas-to-write", "0")
    assert re.search("E036 .*SET.*: .*Not enough good replicas", words)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[RedisServer, RedisServer]]:
    """A primary and its replica."""
    port = str(free_port())
    durable = ("--appendonly", "yes")
    listening = ("--bind", "127.0.0.1", "--port", port)
    eager = ("--repl-diskless-sync-delay", "0")
    with (
        another_server(*durable, *listening, *eager) as primary,
        another_server(*durable, "--replicaof", "127.0.0.1", port) as replica,
    ):
        with client_of(primary) as client:
            client.set("x", "y")
            assert client.wait(1, 20_000) == 1
        yield primary, replica


def test_a_replica_is_found(pair: tuple[RedisServer, RedisServer]) -> None:
    _, replica = pair
    assert found_on(replica) == {"E036"}
    assert re.search(
        r"E036 .*\(SET, PEXPIRE, PERSIST, DEL, ZADD, ZREM\): .*read only replica\.$",
        words_on(replica),
    )


def test_a_primary_that_does_not_wait_for_its_replicas_is_found(
    pair: tuple[RedisServer, RedisServer],
) -> None:
    primary, _ = pair
    assert found_on(primary) == {"W040"}
    with client_of(primary) as client:
        client.config_set("min-replicas-to-write", "1")
        assert found_on(primary) == set()
        client.config_set("min-replicas-to-write", "0")


def test_one_that_does_not_tell_is_not(pair: tuple[RedisServer, RedisServer]) -> None:
    primary, _ = pair
    with client_of(primary) as client:
        client.execute_command(
            *("ACL", "SETUSER", "site", "reset", "on", ">secret"),
            *("~*", "+@all", "-config"),
        )
    options = {"USERNAME": "site", "PASSWORD": "secret"}
    assert found_on(primary, OPTIONS=options) == set()
