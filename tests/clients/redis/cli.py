"""redis-cli as a person uses it: at a terminal, with prompts. usage: cli.py PORT"""

import os
import pty
import sys

LINES = [
    ("ping", "PONG"),
    ('set {cli}s "a b"', "OK"),
    ("get {cli}s", '"a b"'),
    ("select 2", "OK"),
    ("get {cli}s", "(nil)"),
    ("select 0", "OK"),
    ("hello 3", "proto"),
    ("hset {cli}h f 1", "(integer) 1"),
    ("hgetall {cli}h", '1# "f" => "1"'),
    ("del {cli}s {cli}h", "(integer) 2"),
]


def main(port):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "dumb"
        os.environ["HOME"] = "/nonexistent"
        os.execlp("redis-cli", "redis-cli", "-p", port)
    seen = ""

    def read_until(text, start):
        nonlocal seen
        while text not in seen[start:]:
            part = os.read(terminal, 4096)
            if not part:
                raise SystemExit(f"no {text!r} in {seen!r}")
            seen += part.decode(errors="replace")

    read_until("> ", 0)
    for line, expected in LINES:
        start = len(seen)
        os.write(terminal, line.encode() + b"\n")
        read_until(line, start)
        read_until(expected, seen.index(line, start) + len(line))
        read_until("> ", seen.index(expected, start) + len(expected))
    os.write(terminal, b"quit\n")
    _, status = os.waitpid(pid, 0)
    assert status == 0, status


main(sys.argv[1])
