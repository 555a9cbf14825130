"""A client as they were before HELLO and CLIENT: RESP2, AUTH, SELECT, nothing else. usage: old.py PORT"""

import socket
import sys


def main(port):
    wire = socket.create_connection(("127.0.0.1", port), timeout=10)
    stream = wire.makefile("rb")

    def ask(*words):
        request = f"*{len(words)}\r\n" + "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
        wire.sendall(request.encode())
        return reply()

    def reply():
        line = stream.readline()
        kind, text = line[:1], line[1:-2].decode()
        if kind == b"$":
            return None if text == "-1" else stream.read(int(text) + 2)[:-2].decode()
        if kind == b"*":
            return [reply() for _ in range(int(text))]
        assert kind in b"+-:", line
        return int(text) if kind == b":" else text

    assert ask("PING") == "PONG"
    assert ask("SELECT", "0") == "OK"
    assert ask("SET", "{old}s", "value") == "OK"
    assert ask("MGET", "{old}s", "missing") == ["value", None]
    assert ask("INFO").startswith("# Server")
    assert ask("SELECT", "1") == "OK"
    assert ask("GET", "{old}s") is None
    assert ask("SELECT", "0") == "OK"
    assert ask("DEL", "{old}s") == 1
    assert ask("QUIT") == "OK"
    assert stream.read() == b""


main(int(sys.argv[1]))
