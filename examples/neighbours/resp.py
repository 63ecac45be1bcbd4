"""A small Redis client: sends commands in RESP, and returns replies as strings, numbers and lists."""

import socket


class Redis:
    def __init__(self, host, port):
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._replies = self._socket.makefile("rb")

    def send(self, *words):
        encoded = [str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self._socket.sendall(b"".join(parts))
        return self._reply()

    def _reply(self):
        line = self._replies.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Cannot read a reply: the connection ended")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self._replies.read(length + 2)[:-2].decode()
        if kind == b"*":
            length = int(rest)
            return None if length < 0 else [self._reply() for _ in range(length)]
        raise RuntimeError("Cannot run a command: " + rest)
