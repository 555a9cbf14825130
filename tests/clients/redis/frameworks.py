"""Frameworks that work with Redis. usage: frameworks.py rq|celery|django|sessions PORT PREFIX

PREFIX is put before their keys: a hash tag where the pool has several servers.
"""

import sys
import threading
import time


def rq(port, prefix):
    import redis
    from rq import Queue, SimpleWorker

    connection = redis.Redis(port=port)
    queue = Queue("nutcrab", connection=connection)
    queue.empty()
    jobs = [queue.enqueue(pow, 2, number) for number in range(10)]
    SimpleWorker([queue], connection=connection).work(burst=True)
    assert [job.return_value() for job in jobs] == [2**number for number in range(10)]


def celery(port, prefix):
    from celery import Celery
    from celery.contrib.testing.worker import start_worker

    url = f"redis://127.0.0.1:{port}/0"
    app = Celery("nutcrab", broker=url, backend=url)
    app.conf.broker_transport_options = {"global_keyprefix": prefix}
    app.conf.result_backend_transport_options = {"global_keyprefix": prefix}

    @app.task
    def add(left, right):
        return left + right

    with start_worker(app, perform_ping_check=False, pool="solo"):
        results = [add.delay(number, 1) for number in range(10)]
        assert [result.get(timeout=30) for result in results] == list(range(1, 11))


def django(port, prefix):
    from django.conf import settings

    settings.configure(
        CACHES={
            "default": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": f"redis://127.0.0.1:{port}/0",
                "KEY_PREFIX": prefix,
            }
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
    )
    import django as framework

    framework.setup()
    from django.contrib.sessions.backends.cache import SessionStore
    from django.core.cache import cache

    session = SessionStore()
    session["user"] = 7
    session.save()
    assert SessionStore(session.session_key)["user"] == 7
    cache.set_many({"a": 1, "b": 2})
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": 2}
    assert cache.incr("a") == 2
    session.delete()
    cache.delete_many(["a", "b"])


def sessions(port, prefix):
    """What needs a connection of the client's own, through redis-py."""
    import redis

    for protocol in (2, 3):
        client = redis.Redis(port=port, protocol=protocol)
        other = redis.Redis(port=port)
        key = f"{prefix}{protocol}"
        client.delete(key + "n", key + "l")
        with client.pipeline() as pipe:
            pipe.incr(key + "n").incr(key + "n")
            assert pipe.execute() == [1, 2]
        with client.pipeline() as pipe:
            pipe.watch(key + "n")
            other.incr(key + "n")
            pipe.multi()
            pipe.set(key + "n", 9)
            try:
                pipe.execute()
                raise SystemExit("a changed key went unseen")
            except redis.WatchError:
                pass
        assert client.get(key + "n") == b"3"
        assert client.blpop(key + "l", timeout=1) is None
        threading.Timer(0.3, other.rpush, (key + "l", "v")).start()
        assert list(client.blpop(key + "l", timeout=30)) == [(key + "l").encode(), b"v"]
        with client.pubsub() as listener:
            listener.subscribe(key + "c", "elsewhere")
            listener.psubscribe("pat*")
            assert heard(listener, 3) == [1, 2, 3]
            assert other.publish(key + "c", "hi") == 1
            other.publish("pattern", "ho")
            assert sorted(heard(listener, 2)) == [b"hi", b"ho"]
        client.delete(key + "n", key + "l")


def heard(listener, count):
    found = []
    end = time.monotonic() + 30
    while len(found) < count and time.monotonic() < end:
        message = listener.get_message(timeout=1)
        if message:
            found.append(message["data"])
    return found


if __name__ == "__main__":
    {"rq": rq, "celery": celery, "django": django, "sessions": sessions}[sys.argv[1]](
        int(sys.argv[2]), sys.argv[3]
    )
