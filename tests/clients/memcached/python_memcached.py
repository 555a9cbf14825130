"""python-memcached in default settings."""

import memcache
from everyday import address, check, run


class Wrapped:
    name = "python-memcached"

    def __init__(self):
        self.inner = memcache.Client(["%s:%d" % address()])

    def get(self, key):
        return self.inner.get(key)

    def get_many(self, keys):
        return self.inner.get_multi(keys)

    def set(self, key, value):
        return bool(self.inner.set(key, value))

    def set_many(self, values):
        check("set_multi", self.inner.set_multi(values), [])

    def add(self, key, value):
        return bool(self.inner.add(key, value))

    def delete(self, key):
        return bool(self.inner.delete(key))

    def set_number(self, key, value):
        self.inner.set(key, value)

    def incr(self, key, by):
        return self.inner.incr(key, by)

    def decr(self, key, by):
        return self.inner.decr(key, by)

    def touch(self, key, seconds):
        return bool(self.inner.touch(key, seconds))

    def more(self, key):
        if not self.inner.get_stats():
            raise SystemExit("no stats")


run(Wrapped())
