"""pylibmc, which is libmemcached: text, or binary when the third argument says so."""

import sys

import pylibmc
from everyday import address, run


class Wrapped:
    def __init__(self, binary):
        self.name = "pylibmc-binary" if binary else "pylibmc"
        self.binary = binary
        self.inner = pylibmc.Client(["%s:%d" % address()], binary=binary)
        self.inner.behaviors["cas"] = True

    def get(self, key):
        return self.inner.get(key)

    def get_many(self, keys):
        return self.inner.get_multi(keys)

    def set(self, key, value):
        return self.inner.set(key, value)

    def set_many(self, values):
        failed = self.inner.set_multi(values)
        if failed:
            raise SystemExit(f"set_multi: {failed}")

    def add(self, key, value):
        return self.inner.add(key, value)

    def delete(self, key):
        return self.inner.delete(key)

    def set_number(self, key, value):
        self.inner.set(key, value)

    def incr(self, key, by):
        return self.inner.incr(key, by)

    def decr(self, key, by):
        return self.inner.decr(key, by)

    def gets(self, key):
        return self.inner.gets(key)

    def cas(self, key, value, unique):
        return self.inner.cas(key, value, unique)

    def touch(self, key, seconds):
        return self.inner.touch(key, seconds)

    def more(self, key):
        if not self.inner.get_stats():
            raise SystemExit("no stats")


run(Wrapped(len(sys.argv) > 3 and sys.argv[3] == "binary"))
