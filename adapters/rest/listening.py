"""Opens the sockets that an address names: every address of the host, IPv4 and IPv6, under one port."""

import socket

_EVERYWHERE = ("", "*", "::")
_BACKLOG = 2048


class ListenInvalid(Exception):
    """The address is not HOST:PORT, or nothing can listen there."""


def open_sockets(listen: str) -> list[socket.socket]:
    """Return bound sockets; with port 0, all have the port that the first one got.

    Raises:
        ListenInvalid: the text is no address, or the address is taken.
    """
    host, colon, port = listen.rpartition(":")
    host = host.strip("[]")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ListenInvalid(f"listen {listen!r}: expected HOST:PORT")
    sockets: list[socket.socket] = []
    number = int(port)
    try:
        for family, address in _addresses(host):
            sockets.append(_bound(family, (address, number)))
            number = sockets[0].getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        raise ListenInvalid(f"listen {listen!r}: {error.strerror or error}") from error
    return sockets


def _addresses(host: str) -> list[tuple[int, str]]:
    if host in _EVERYWHERE:
        families = [(int(socket.AF_INET), "0.0.0.0"), (int(socket.AF_INET6), "::")]
        return families if _has_ipv6() else families[:1]
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((int(family), str(address[0])) for family, _, _, _, address in found))


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def _bound(family: int, address: tuple[str, int]) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind(address)
        one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    one.setblocking(False)
    return one
