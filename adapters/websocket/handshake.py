"""What happens before a socket opens: the path, the page that asks, and `GET /health`."""

import re
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

_CLIENT_ADDRESS = "x-envoy-external-address"
PATH = "/connection/websocket"
_LOCAL_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")


class Handshake:
    """Decides who may open a socket."""

    def __init__(self, origins: str, environment: str) -> None:
        """Take the allowed origins, separated by commas; in development, pages of any local port come along."""
        listed = [origin.strip() for origin in origins.split(",") if origin.strip()]
        local = _LOCAL_ORIGINS if environment == "development" else ()
        self._origins = [
            re.compile(re.escape(origin).replace(r":\*", r"(:\d+)?"), re.IGNORECASE) for origin in (*listed, *local)
        ]

    def __call__(self, socket: ServerConnection, request: Request) -> Response | None:
        """Return the HTTP answer to a request that gets no socket, and None for one that does."""
        path = request.path.partition("?")[0]
        if path == "/health":
            return _json(HTTPStatus.OK, b'{"status":"ok"}')
        if path != PATH:
            return socket.respond(HTTPStatus.NOT_FOUND, f"The socket is at {PATH}.\n")
        if not self._admits(request.headers):
            return socket.respond(HTTPStatus.FORBIDDEN, "Pages of this origin may not connect.\n")
        return None

    def _admits(self, headers: Headers) -> bool:
        given = headers.get_all("Origin")
        if not given:
            # Only browsers send one, and only they have a page that could abuse its visitor.
            return True
        if len(given) > 1:
            return False
        (origin,) = given
        if any(pattern.fullmatch(origin) for pattern in self._origins):
            return True
        # A page may always call the host that it came from.
        hosts = headers.get_all("Host")
        return len(hosts) == 1 and origin.lower() in (f"http://{hosts[0].lower()}", f"https://{hosts[0].lower()}")


def client_address(socket: ServerConnection) -> str:
    """Return where the client is, as the edge saw it; without an edge, where the socket comes from."""
    told = socket.request.headers.get_all(_CLIENT_ADDRESS) if socket.request is not None else []
    return told[0] if told else str((socket.remote_address or ("",))[0])


def forwarded(socket: ServerConnection) -> dict[str, str]:
    """Return the metadata that tells services where the client is and what it is, as the edge saw it."""
    headers = socket.request.headers if socket.request is not None else Headers()
    address = socket.remote_address
    steps = [*headers.get_all("X-Forwarded-For"), *([str(address[0])] if address else [])]
    # The edge takes away what clients send under this name.
    seen = {_CLIENT_ADDRESS: headers.get_all(_CLIENT_ADDRESS), "x-forwarded-for": steps}
    seen["grpcgateway-user-agent"] = headers.get_all("User-Agent")
    joined = {name: ", ".join(values) for name, values in seen.items()}
    return {name: value for name, value in joined.items() if value and value.isascii() and value.isprintable()}


def _json(status: HTTPStatus, body: bytes) -> Response:
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
