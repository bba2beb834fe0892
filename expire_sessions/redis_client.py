"""The client that sends what a session needs."""

from functools import partial
from typing import Any

from redis import Redis

__all__ = ["LeanRedis", "lean"]


class LeanRedis(Redis):
    """redis-py's client, with less around each command.

    Between ``execute_command``, which whatever traces Redis hooks into, and the
    connection, redis-py 8 looks at the clock and for its own metrics, formats their
    labels and builds three closures: 5 % of a round trip on loopback, or a third of
    what a load may take beside it. (6 and 7 do less there, and lose nothing.) The
    pool, its connections, their checks and retries are as they were set up.
    """

    def _execute_command(self, *args: Any, **options: Any) -> Any:
        connection: Any = self.connection_pool.get_connection()
        try:
            return connection.retry.call_with_retry(
                partial(self._exchange, connection, args, options),
                lambda _: connection.disconnect(),
            )
        finally:  # drops a connection that is marked to be made anew, too
            self.connection_pool.release(connection)

    def _exchange(
        self, connection: Any, args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:
        connection.send_command(*args)
        return self.parse_response(connection, args[0], **options)  # type: ignore[no-untyped-call] # redis-py's


def lean(client: Any) -> Any:
    """Return a lean client on the same pool, for one of redis-py's own.

    Another class is somebody's choice (``REDIS_CLIENT_CLASS``), and stays; so does
    a client that was given a connection of its own.
    """
    if type(client) is not Redis or client.connection is not None:
        return client
    return LeanRedis(connection_pool=client.connection_pool)
