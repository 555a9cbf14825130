"""pymemcache in default settings."""

from everyday import address, check, run
from pymemcache.client.base import Client


class Wrapped:
    name = "pymemcache"

    def __init__(self):
        # Its one default that is no wish of a user's: writes ask for no reply.
        self.inner = Client(address())
        for name in "get get_many set_many gets append prepend".split():
            setattr(self, name, getattr(self.inner, name))

    def set(self, key, value):
        return self.inner.set(key, value)

    def add(self, key, value):
        return self.inner.add(key, value, noreply=False)

    def delete(self, key):
        return self.inner.delete(key, noreply=False)

    def set_number(self, key, value):
        self.inner.set(key, str(value))

    def incr(self, key, by):
        return self.inner.incr(key, by)

    def decr(self, key, by):
        return self.inner.decr(key, by)

    def cas(self, key, value, unique):
        return self.inner.cas(key, value, unique)

    def touch(self, key, seconds):
        return self.inner.touch(key, seconds, noreply=False)

    def more(self, key):
        check("version", self.inner.version()[:2], b"1.")
        if b"version" not in self.inner.stats():
            raise SystemExit("stats without a version")
        self.inner.flush_all(delay=1000000)


run(Wrapped())
