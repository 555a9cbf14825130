"""The Python clients of the matrix, each in its default settings.

usage: python.py CLIENT PORT

Everyday operations only: what a client library does on connecting is what is tested. Ends with 0
if all went well.
"""

import asyncio
import sys


def everyday(client, name):
    """For the clients that look like redis-py."""
    key = f"{{{name}}}:"
    assert client.ping() in (True, b"PONG", "PONG")
    assert client.set(key + "s", "value", ex=100)
    assert client.get(key + "s") in (b"value", "value")
    assert client.mset({key + "a": "1", key + "b": "2", "spread": "3"})
    assert [int(v) for v in client.mget(key + "a", key + "b", "spread")] == [1, 2, 3]
    assert client.incr(key + "n", 5) == 5
    client.hset(key + "h", mapping={"f": "1", "g": "2"})
    assert len(client.hgetall(key + "h")) == 2
    client.zadd(key + "z", {"m": 1.5})
    assert client.zscore(key + "z", "m") == 1.5
    client.sadd(key + "set", "x", "y")
    assert len(client.smembers(key + "set")) == 2
    client.rpush(key + "l", *range(10))
    assert client.llen(key + "l") == 10
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set(f"{key}p{number}", number)
        pipe.mget(*(f"{key}p{number}" for number in range(100)))
        assert [int(v) for v in pipe.execute()[-1]] == list(range(100))
    keys = [key + tail for tail in ("s", "a", "b", "n", "h", "z", "set", "l")]
    assert client.delete(*keys) == 8
    assert client.delete(*(f"{key}p{number}" for number in range(100)), "spread") == 101
    assert client.get(key + "s") is None
    # Without a tag they live on all servers.
    spread = {f"{name}:spread:{number}" for number in range(200)}
    assert client.mset(dict.fromkeys(spread, "x"))
    for options in ({}, {"count": 7}, {"_type": "string", "count": 50}):
        found = list(client.scan_iter(match=f"{name}:spread:*", **options))
        assert {str(key, "ascii") for key in found} == spread, options
    assert client.delete(*spread) == 200


def redis_py(port):
    import redis

    with redis.Redis(port=port) as client:
        everyday(client, "redis-py")
        assert client.client_id() > 0
        assert client.info("replication")["role"] == "master"
    with redis.Redis(port=port, db=2, client_name="me") as client:
        everyday(client, "redis-py-2")
        assert client.client_getname() in ("me", b"me")
    with redis.Redis(port=port, protocol=2) as client:
        everyday(client, "redis-py-old")
    asyncio.run(redis_py_asyncio(port))


async def redis_py_asyncio(port):
    import redis.asyncio

    async with redis.asyncio.Redis(port=port) as client:
        assert await client.set("{async}s", "value")
        values = await asyncio.gather(*(client.get("{async}s") for _ in range(50)))
        assert values == [b"value"] * 50
        assert await client.delete("{async}s") == 1


def valkey_py(port):
    import valkey

    with valkey.Valkey(port=port) as client:
        everyday(client, "valkey-py")
    with valkey.Valkey(port=port, protocol=3) as client:
        everyday(client, "valkey-py-3")


def coredis(port):
    async def run():
        import coredis

        async with coredis.Redis(port=port) as client:
            assert await client.ping()
            assert await client.set("{coredis}s", "value")
            assert await client.get("{coredis}s") == b"value"
            assert await client.hset("{coredis}h", {"f": "1"}) == 1
            assert await client.hgetall("{coredis}h") == {b"f": b"1"}
            assert await client.mget(["{coredis}s", "missing"]) == (b"value", None)
            assert await client.delete(["{coredis}s", "{coredis}h"]) == 2

    asyncio.run(run())


def glide(port):
    async def run():
        from glide import GlideClient, GlideClientConfiguration, NodeAddress

        config = GlideClientConfiguration([NodeAddress("127.0.0.1", port)])
        client = await GlideClient.create(config)
        assert await client.ping() == b"PONG"
        assert await client.set("{glide}s", "value") == "OK"
        assert await client.get("{glide}s") == b"value"
        assert await client.mget(["{glide}s", "missing"]) == [b"value", None]
        await client.hset("{glide}h", {"f": "1"})
        assert await client.hgetall("{glide}h") == {b"f": b"1"}
        assert await client.delete(["{glide}s", "{glide}h"]) == 2
        await client.close()

    asyncio.run(run())


CLIENTS = {
    "redis-py": redis_py,
    "valkey-py": valkey_py,
    "coredis": coredis,
    "valkey-glide": glide,
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](int(sys.argv[2]))
