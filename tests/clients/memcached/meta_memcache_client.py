"""meta-memcache in default settings: nothing but meta commands."""

from everyday import address, check, run
from meta_memcache import CacheClient, Key, ServerAddress
from meta_memcache.configuration import LeasePolicy, connection_pool_factory_builder


class Wrapped:
    name = "meta-memcache"

    def __init__(self):
        self.inner = CacheClient.cache_client_from_servers(
            [ServerAddress(*address())], connection_pool_factory_builder()
        )

    def get(self, key):
        return self.inner.get(Key(key))

    def get_many(self, keys):
        found = self.inner.multi_get([Key(key) for key in keys])
        return {key.key: value for key, value in found.items() if value is not None}

    def set(self, key, value):
        return self.inner.set(Key(key), value, ttl=1000)

    def delete(self, key):
        return self.inner.delete(Key(key))

    def gets(self, key):
        return self.inner.get_cas(Key(key))

    def cas(self, key, value, unique):
        return self.inner.set(Key(key), value, ttl=1000, cas_token=unique)

    def touch(self, key, seconds):
        return self.inner.touch(Key(key), seconds)

    def more(self, key):
        count = Key(key("count"))
        self.inner.delete(count)
        got = self.inner.delta_initialize_and_get(count, delta=5, initial_value=10, initial_ttl=100)
        check("delta that creates", got, 10)
        check("delta", self.inner.delta_and_get(count, delta=5), 15)
        check("quiet set", self.inner.set(Key(key("q")), b"q", ttl=100, no_reply=True), True)
        check("after the quiet set", self.inner.get(Key(key("q"))), b"q")
        lease = Key(key("lease"))
        self.inner.delete(lease)
        check("lease", self.inner.get_or_lease(lease, LeasePolicy()), None)
        odd = Key("key that is not ascii: é")
        check("base64 key", (self.inner.set(odd, b"odd", ttl=100), self.inner.get(odd)), (True, b"odd"))


run(Wrapped())
