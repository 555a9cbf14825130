// A BullMQ queue and its worker. usage: node bullmq.js PORT PREFIX

'use strict';

const assert = require('node:assert/strict');
const { Queue, Worker } = require('bullmq');

async function main(port, prefix) {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const queue = new Queue('nutcrab', { connection, prefix });
  const done = [];
  const worker = new Worker('nutcrab', async (job) => job.data.number * 2, { connection, prefix });
  const all = new Promise((resolve, reject) => {
    worker.on('completed', (job, result) => {
      done.push(result);
      if (done.length === 10) resolve();
    });
    worker.on('failed', (job, error) => reject(error));
  });
  for (let number = 0; number < 10; number++) await queue.add('double', { number });
  await all;
  assert.deepEqual(done.sort((a, b) => a - b), [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
  await worker.close();
  await queue.obliterate({ force: true });
  await queue.close();
}

const [port, prefix] = process.argv.slice(2);
main(Number(port), prefix).then(() => process.exit(0), (error) => {
  console.error(error);
  process.exit(1);
});
