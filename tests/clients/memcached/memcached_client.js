// memcached in default settings.
'use strict';

const Memcached = require('memcached');
const { promisify } = require('node:util');
const { address, run } = require('./everyday.js');

const inner = new Memcached(address());
const call = (name) => promisify(inner[name]).bind(inner);

run({
  name: 'memcached',
  get: async (key) => {
    const value = await call('get')(key);
    return value === undefined ? null : `${value}`;
  },
  getMany: async (keys) => call('getMulti')(keys),
  set: (key, value) => call('set')(key, value, 1000),
  add: async (key, value) => {
    try {
      return await call('add')(key, value, 1000);
    } catch (error) {
      if (/not stored/i.test(error.message)) return false;
      throw error;
    }
  },
  remove: (key) => call('del')(key),
  increment: (key, by) => call('incr')(key, by),
  decrement: (key, by) => call('decr')(key, by),
  touch: (key, seconds) => call('touch')(key, seconds),
  append: (key, value) => call('append')(key, value),
  more: async () => {
    await call('version')();
    await call('stats')();
  },
  close: () => inner.end(),
});
