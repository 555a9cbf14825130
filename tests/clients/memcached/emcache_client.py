"""emcache in default settings."""

import asyncio
import sys

import emcache
from everyday import address, check, run


class Wrapped:
    name = "emcache"

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        credentials = dict(zip(("username", "password"), sys.argv[3:5]))
        nodes = [emcache.MemcachedHostAddress(*address())]
        self.inner = self.wait(emcache.create_client(nodes, **credentials))

    def wait(self, future):
        return self.loop.run_until_complete(future)

    def done(self, future, refused=()):
        try:
            self.wait(future)
        except refused:
            return False
        return True

    def get(self, key):
        item = self.wait(self.inner.get(key.encode()))
        return item and item.value

    def get_many(self, keys):
        found = self.wait(self.inner.get_many([key.encode() for key in keys]))
        return {key.decode(): item.value for key, item in found.items()}

    def set(self, key, value):
        return self.done(self.inner.set(key.encode(), value))

    def add(self, key, value):
        return self.done(self.inner.add(key.encode(), value), emcache.NotStoredStorageCommandError)

    def delete(self, key):
        return self.done(self.inner.delete(key.encode()), emcache.NotFoundCommandError)

    def append(self, key, value):
        return self.done(self.inner.append(key.encode(), value))

    def prepend(self, key, value):
        return self.done(self.inner.prepend(key.encode(), value))

    def set_number(self, key, value):
        self.set(key, b"%d" % value)

    def incr(self, key, by):
        return self.wait(self.inner.increment(key.encode(), by))

    def decr(self, key, by):
        return self.wait(self.inner.decrement(key.encode(), by))

    def gets(self, key):
        item = self.wait(self.inner.gets(key.encode()))
        return item.value, item.cas

    def cas(self, key, value, unique):
        return self.done(self.inner.cas(key.encode(), value, unique), emcache.StorageCommandError)

    def touch(self, key, seconds):
        return self.done(self.inner.touch(key.encode(), seconds))

    def more(self, key):
        names = [key(f"m{index}").encode() for index in range(30)]
        found = self.wait(self.inner.gat_many(100, names))
        check("gat of many", len(found), 30)
        self.wait(self.inner.close())


run(Wrapped())
