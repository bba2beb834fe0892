"""Find out what the server refuses of all that sessions need, without writing.

It may be a replica, or full, or the user may lack a right. Each command is tried in a
form that changes nothing, and the server says in its own words what is wrong.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from django.core.checks import CheckMessage
from redis.exceptions import NoScriptError, ResponseError

from expire_sessions.checks.messages import Section, error
from expire_sessions.protocol.keys import Keys
from expire_sessions.protocol.scripts import Script
from expire_sessions.protocol.session_keys import session_id

__all__ = ["check_rights"]

PROBE: Final = Script("probe")

PLACE: Final = re.compile(r"^@user_script: ?\d+: -?| script: \w+, on @\w+:\d+")
"""Where in a script a command was refused: Redis 6.2 and 7 tell it in two ways."""

NOBODY: Final = "nobody" + "0" * 26
"""No session has this key: each is drawn from 36 to the power of 32."""


def check_rights(client: Any, keys: Keys) -> Iterator[CheckMessage]:
    """E036: a command that sessions need is refused. Five round trips."""
    refusals: defaultdict[str, list[str]] = defaultdict(list)
    for command, words in [*_in_a_script(client, keys), *_outside(client, keys)]:
        refusals[words].append(command)
    for words, commands in refusals.items():
        text = f"Redis refuses what sessions need ({', '.join(commands)}): {words}"
        yield error("E036", text, Section.SERVER)


def _in_a_script(client: Any, keys: Keys) -> Iterator[tuple[str, str]]:
    names = [
        keys.payload(NOBODY),
        keys.index(NOBODY),
        keys.made(NOBODY),
        keys.moved(session_id(NOBODY)),
        keys.life(NOBODY),
        keys.mark(NOBODY, NOBODY),
    ]
    arguments = [len(names), *names]
    try:
        refused = client.execute_command("EVAL", PROBE.source, *arguments)
        yield from ((_text(command), _words(_text(text))) for command, text in refused)
    except ResponseError as problem:
        yield "EVAL", _words(str(problem))
    try:
        client.execute_command("EVALSHA", PROBE.digest, *arguments)
    except NoScriptError:
        pass  # the right is there, and that EVAL did not load it was said
    except ResponseError as problem:
        yield "EVALSHA", _words(str(problem))


def _outside(client: Any, keys: Keys) -> Iterator[tuple[str, str]]:
    for command in (
        ("GET", keys.payload(NOBODY)),
        ("SCAN", 0, "COUNT", 1),
        ("ZSCAN", keys.index(NOBODY), 0),
    ):
        try:
            client.execute_command(*command)
        except ResponseError as problem:
            yield str(command[0]), _words(str(problem))


def _words(text: str) -> str:
    """Return what the server says, without the place in the script."""
    return PLACE.sub("", text).strip(" \r\n,.") + "."


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
