// Modes of a peer's program, those of tests/bench/speed/program.py: enqueue, trickle, work. Facts go out as lines of JSON.
"use strict";

const AT_ONCE = 50;
const APART_MS = 50;
const SETTLING_MS = 500;
const TEXT = "ممكن أعرف الأسعار والمواعيد المتاحة لو سمحت؟";

const now = () => Number(process.hrtime.bigint()) / 1e9; // the clock of Python's time.monotonic()
const cpu = () => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));
const say = (facts) => new Promise((done) => process.stdout.write(JSON.stringify(facts) + "\n", done));

async function enqueue(add, messages) {
  let next = 0;
  const producer = async () => {
    while (next < messages) await add(next++, TEXT);
  };
  const [began_s, cpuBegan] = [now(), cpu()];
  await Promise.all(Array.from({ length: AT_ONCE }, producer));
  await say({ began_s, ended_s: now(), cpu_s: cpu() - cpuBegan });
}

async function trickle(add, messages) {
  for (let number = 0; number < messages; number++) {
    await add(number, String(now()));
    await pause(APART_MS);
  }
  await say({});
}

/** Answers messages until all are done. `start` gets the handler of a text and the function to call after each. */
async function work(start, messages) {
  const picked_up_ms = [];
  let [done, cpuBegan] = [0, 0];
  const handle = (text) => {
    if (text !== TEXT) picked_up_ms.push((now() - Number(text)) * 1000);
  };
  const completed = async () => {
    if (++done < messages) return;
    await say({ ended_s: now(), cpu_s: cpu() - cpuBegan, picked_up_ms });
    process.exit(0);
  };
  start(handle, completed, AT_ONCE);
  await pause(SETTLING_MS);
  cpuBegan = cpu();
  await say({ ready: true });
}

exports.run = async (open) => {
  const [mode, url, messages] = process.argv.slice(2);
  const { add, start } = open(new URL(url));
  if (mode === "work") return work(start, Number(messages));
  await (mode === "trickle" ? trickle : enqueue)(add, Number(messages));
  process.exit(0);
};
