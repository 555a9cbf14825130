"""python-binary-memcached in default settings; with a user and a password where they are given."""

import sys

import bmemcached
from everyday import address, run


class Wrapped:
    name = "python-binary-memcached"

    def __init__(self):
        credentials = sys.argv[3:5] or [None, None]
        self.inner = bmemcached.Client(("%s:%d" % address(),), *credentials)

    def get(self, key):
        return self.inner.get(key)

    def get_many(self, keys):
        return self.inner.get_multi(keys)

    def set(self, key, value):
        return self.inner.set(key, value)

    def set_many(self, values):
        self.inner.set_multi(values)

    def add(self, key, value):
        return self.inner.add(key, value)

    def delete(self, key):
        return self.inner.delete(key)

    def set_number(self, key, value):
        self.inner.set(key, str(value))

    def incr(self, key, by):
        return self.inner.incr(key, by)

    def decr(self, key, by):
        return self.inner.decr(key, by)

    def gets(self, key):
        return self.inner.gets(key)

    def cas(self, key, value, unique):
        return self.inner.cas(key, value, unique)

    def more(self, key):
        if not self.inner.stats():
            raise SystemExit("no stats")


run(Wrapped())
