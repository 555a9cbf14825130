// What every Node.js client of the matrix does. A client's file gives promises under these names.
'use strict';

const assert = require('node:assert');

exports.address = () => `${process.argv[2]}:${process.argv[3]}`;

exports.run = async (client) => {
  const key = (word) => `${client.name}:${word}`;
  await client.remove(key('a'));
  assert.strictEqual(await client.get(key('a')), null, 'a miss');
  await client.set(key('a'), 'value');
  assert.strictEqual(await client.get(key('a')), 'value');
  const large = 'x'.repeat(500000);
  await client.set(key('l'), large);
  assert.strictEqual(await client.get(key('l')), large, 'a large value');
  const many = [...Array(100).keys()].map((index) => key(`m${index}`));
  await Promise.all(many.map((name, index) => client.set(name, `${index}`)));
  const found = await Promise.all(many.map((name) => client.get(name)));
  assert.deepStrictEqual(found, many.map((_, index) => `${index}`), 'many at a time');
  if (client.getMany) {
    const values = await client.getMany([...many, key('absent')]);
    assert.strictEqual(Object.keys(values).length, 100, 'get of many');
    assert.strictEqual(values[many[42]], '42');
  }
  assert.strictEqual(await client.remove(key('a')), true, 'delete');
  assert.strictEqual(await client.get(key('a')), null);
  await client.remove(key('add'));
  assert.strictEqual(await client.add(key('add'), '1'), true, 'add');
  assert.strictEqual(await client.add(key('add'), '2'), false, 'add again');
  await client.set(key('c'), '10');
  assert.strictEqual(Number(await client.increment(key('c'), 5)), 15, 'increment');
  assert.strictEqual(Number(await client.decrement(key('c'), 3)), 12, 'decrement');
  assert.strictEqual(await client.touch(key('c'), 100), true, 'touch');
  await client.append(key('m1'), 'b');
  assert.strictEqual(await client.get(key('m1')), '1b', 'append');
  if (client.more) await client.more(key);
  await client.close();
  console.log(`${client.name}: ok`);
};

// A failure must be seen, and nothing may keep the process alive after it.
process.on('unhandledRejection', (error) => {
  console.error(error);
  process.exit(1);
});
