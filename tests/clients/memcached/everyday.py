"""What every Python client of the matrix does: everyday operations, each with its expected result.

A client's file wraps it in an object with the methods used here, and calls run().
"""

import sys


def address():
    """Host and port, from the command line."""
    return sys.argv[1], int(sys.argv[2])


def check(name, got, expected):
    if got != expected:
        sys.exit(f"{name}: got {got!r}, expected {expected!r}")


def run(client):
    prefix = f"{client.name}:"
    key = lambda word: prefix + str(word)
    client.delete(key("a"))
    check("a miss", client.get(key("a")), None)
    check("set", client.set(key("a"), b"value"), True)
    check("get", client.get(key("a")), b"value")
    check("overwrite", client.set(key("a"), b"other"), True)
    check("get again", client.get(key("a")), b"other")
    check("empty", (client.set(key("e"), b""), client.get(key("e"))), (True, b""))
    large = bytes(range(256)) * 2000
    check("large", (client.set(key("l"), large), client.get(key("l"))), (True, large))
    many = {key(f"m{i}"): b"%d" % i for i in range(100)}
    for name, value in many.items():
        check("set of many", client.set(name, value), True)
    absent = [key(f"absent{i}") for i in range(20)]
    check("get of many", client.get_many(list(many) + absent), many)
    check("delete", client.delete(key("a")), True)
    check("deleted", client.get(key("a")), None)
    if hasattr(client, "set_many"):
        client.set_many({key(f"n{i}"): b"n%d" % i for i in range(50)})
        check("set_many", client.get(key("n49")), b"n49")
    if hasattr(client, "incr"):
        client.set_number(key("c"), 10)
        check("incr", client.incr(key("c"), 5), 15)
        check("decr", client.decr(key("c"), 3), 12)
    if hasattr(client, "add"):
        client.delete(key("add"))
        check("add", client.add(key("add"), b"1"), True)
        check("add again", client.add(key("add"), b"2"), False)
    if hasattr(client, "append"):
        client.set(key("app"), b"b")
        client.append(key("app"), b"c")
        client.prepend(key("app"), b"a")
        check("append and prepend", client.get(key("app")), b"abc")
    if hasattr(client, "cas"):
        client.set(key("cas"), b"1")
        value, unique = client.gets(key("cas"))
        check("gets", value, b"1")
        check("cas", client.cas(key("cas"), b"2", unique), True)
        check("cas with an old number", client.cas(key("cas"), b"3", unique), False)
        check("after cas", client.get(key("cas")), b"2")
    if hasattr(client, "touch"):
        client.set(key("t"), b"1")
        check("touch", client.touch(key("t"), 100), True)
    if hasattr(client, "more"):
        client.more(key)
    print(f"{client.name}: ok")
