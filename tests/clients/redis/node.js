// The Node clients of the matrix, each in its default settings.
//
// usage: node node.js CLIENT PORT

'use strict';

const assert = require('node:assert/strict');

async function ioredis(port) {
  const { default: Redis } = require('ioredis');
  const client = new Redis(port, '127.0.0.1');
  client.on('error', (error) => { throw error; });
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('{ioredis}s', 'value'), 'OK');
  assert.equal(await client.get('{ioredis}s'), 'value');
  assert.deepEqual(await client.mget('{ioredis}s', 'missing'), ['value', null]);
  await client.hset('{ioredis}h', { f: '1', g: '2' });
  assert.deepEqual({ ...await client.hgetall('{ioredis}h') }, { f: '1', g: '2' });
  const pipeline = client.pipeline();
  for (let number = 0; number < 100; number++) pipeline.incr('{ioredis}n');
  assert.deepEqual((await pipeline.exec())[99], [null, 100]);
  assert.equal(await client.del('{ioredis}s', '{ioredis}h', '{ioredis}n', 'spread'), 3);
  await client.quit();
  const second = new Redis({ host: '127.0.0.1', port, db: 3, connectionName: 'me' });
  assert.equal(await second.set('{ioredis}s', 'value'), 'OK');
  assert.equal(await second.del('{ioredis}s'), 1);
  second.disconnect();
}

async function nodeRedis(port) {
  const { createClient } = require('redis');
  const client = createClient({ socket: { host: '127.0.0.1', port } });
  client.on('error', (error) => { throw error; });
  await client.connect();
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('{node}s', 'value'), 'OK');
  assert.equal(await client.get('{node}s'), 'value');
  assert.deepEqual(await client.mGet(['{node}s', 'missing']), ['value', null]);
  await client.hSet('{node}h', { f: '1', g: '2' });
  assert.deepEqual({ ...await client.hGetAll('{node}h') }, { f: '1', g: '2' });
  await client.zAdd('{node}z', { score: 1.5, value: 'm' });
  assert.equal(await client.zScore('{node}z', 'm'), 1.5);
  const all = await Promise.all(Array.from({ length: 100 }, () => client.incr('{node}n')));
  assert.equal(all[99], 100);
  assert.equal(await client.del(['{node}s', '{node}h', '{node}n', '{node}z']), 4);
  await client.close();
}

async function glide(port) {
  const { GlideClient } = require('@valkey/valkey-glide');
  const client = await GlideClient.createClient({ addresses: [{ host: '127.0.0.1', port }] });
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.set('{glide}s', 'value'), 'OK');
  assert.equal(await client.get('{glide}s'), 'value');
  assert.deepEqual(await client.mget(['{glide}s', 'missing']), ['value', null]);
  await client.hset('{glide}h', { f: '1' });
  assert.deepEqual(await client.hgetall('{glide}h'), [{ field: 'f', value: '1' }]);
  assert.equal(await client.del(['{glide}s', '{glide}h']), 2);
  client.close();
}

const clients = { ioredis, 'node-redis': nodeRedis, 'valkey-glide-node': glide };
const [client, port] = process.argv.slice(2);
clients[client](Number(port)).catch((error) => {
  console.error(error);
  process.exit(1);
});
