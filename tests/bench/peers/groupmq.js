// groupmq: order within each of a thousand groups.
"use strict";

const { Redis } = require("ioredis");
const { Queue, Worker } = require("groupmq");
const { run } = require("./program.js");

const GROUPS = 1000;

run((url) => {
  const redis = new Redis({ host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null });
  const queue = new Queue({ redis, namespace: "bench", jobTimeoutMs: 30_000, keepCompleted: 0 });
  return {
    add: (number, text) =>
      queue.add({ groupId: `user${number % GROUPS}`, data: { text }, orderMs: Date.now(), maxAttempts: 3 }),
    start: (handle, completed, concurrency) => {
      const worker = new Worker({ queue, concurrency, handler: async (job) => handle(job.data.text) });
      worker.on("completed", completed);
      worker.on("error", (error) => console.error(error));
      worker.run();
    },
  };
});
