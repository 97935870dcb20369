// BullMQ: one queue in order of arrival, without the groups of its paid edition.
"use strict";

const { Queue, Worker } = require("bullmq");
const { run } = require("./program.js");

run((url) => {
  const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
  let queue = null;
  return {
    add: (_, text) => {
      queue ??= new Queue("bench", { connection });
      return queue.add("message", { text }, { removeOnComplete: true });
    },
    start: (handle, completed, concurrency) => {
      const worker = new Worker("bench", async (job) => handle(job.data.text), { connection, concurrency });
      worker.on("completed", completed);
      worker.on("error", (error) => console.error(error));
    },
  };
});
