"""A Redis connection in a few lines: commands go out as RESP, and answers come back as strings, numbers and lists."""

import socket


class Redis:
    def __init__(self, host, port):
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        self._answers = self._socket.makefile("rb")

    def send(self, *words):
        encoded = [str(word).encode() for word in words]
        parts = [b"*%d\r\n" % len(encoded)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
        self._socket.sendall(b"".join(parts))
        return self._answer()

    def _answer(self):
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Cannot read an answer: the connection ended")
        kind, rest = line[:1], line[1:-2].decode()
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"$":
            length = int(rest)
            return None if length < 0 else self._answers.read(length + 2)[:-2].decode()
        if kind == b"*":
            length = int(rest)
            return None if length < 0 else [self._answer() for _ in range(length)]
        raise RuntimeError("Cannot run a command: " + rest)
