"""uvicorn on a socket that is open already, given by its number.

Its own ``--fd`` takes every socket for a Unix one, and leaves TCP_NODELAY unset.
"""

import socket
import sys
from importlib import import_module

from django.core.asgi import get_asgi_application


def main(number: int) -> None:
    """Serve the contender's site with one process, until it is ended."""
    uvicorn = import_module("uvicorn")
    config = uvicorn.Config(
        get_asgi_application(),
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=600,
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=number)])


if __name__ == "__main__":
    main(int(sys.argv[1]))
