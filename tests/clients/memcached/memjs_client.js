// memjs in default settings, which speaks the binary protocol; with a user and a password where they
// are given.
'use strict';

const memjs = require('memjs');
const { address, run } = require('./everyday.js');

const [username, password] = process.argv.slice(4, 6);
const inner = memjs.Client.create(address(), username ? { username, password } : {});
const text = (value) => (value === null ? null : value.toString());

run({
  name: 'memjs',
  get: async (key) => text((await inner.get(key)).value),
  set: (key, value) => inner.set(key, value, {}),
  add: (key, value) => inner.add(key, value, {}),
  remove: (key) => inner.delete(key),
  increment: async (key, by) => (await inner.increment(key, by, {})).value,
  decrement: async (key, by) => (await inner.decrement(key, by, {})).value,
  touch: (key, seconds) => inner.touch(key, seconds),
  append: (key, value) => inner.append(key, value),
  more: async () => {
    await new Promise((resolve, reject) =>
      inner.stats((error, server, stats) => (error ? reject(error) : resolve(stats))));
  },
  close: () => inner.close(),
});
