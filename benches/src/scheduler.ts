/**
 * Thousands of scheduled functions that are due at one moment: how late they start, how long all take, and what interactive
 * calls notice of it. Next to a bare loop of timers in Node, and to the same calls without jobs.
 */

import { FreshetServer, eventually, sleep } from "../../tests/src/server.ts";
import { BenchApp } from "./bench-app.ts";
import { Callers, httpCall } from "./callers.ts";
import { judge } from "./goals.ts";
import { Options } from "./options.ts";
import { printTable } from "./report.ts";

const USAGE = `cargo xtask bench scheduler [options]

  --jobs N             due at the same moment [5000]
  --single N           jobs that are due alone, one after the other [50]
  --callers N          clients that call one function after another meanwhile [2]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, { jobs: "5000", single: "50", callers: "2", "server-args": "" });
const BATCH = 500;

interface Done {
  job: number;
  dueMs: number;
  /** When it started, by the server's clock. */
  startedMs: number;
}

const server = await FreshetServer.start({ args: options.words("server-args") });
const app = new BenchApp(server, "calls");
try {
  await app.push();
  const jobs = options.number("jobs");
  const single = options.number("single");

  const timers = await Promise.all(
    Array.from({ length: jobs }, async () => {
      const due = Date.now() + 1000;
      return await new Promise<number>((late) => setTimeout(() => { late(Date.now() - due); }, due - Date.now()));
    }),
  );

  for (let job = 0; job < single; job += 1) {
    await call("mutation", "jobs:schedule", { from: job, count: 1, dueMs: Date.now() + 50 });
    await sleep(100);
  }
  await eventually("single jobs", async () => ((await call<number>("query", "jobs:doneCount", {})) >= single ? true : undefined));

  const number = (): object => ({ unique: Math.random() });
  const kinds = [
    httpCall(server.url, "query", "calls:emptyQuery", number),
    httpCall(server.url, "mutation", "calls:insert", number),
  ];
  const callers = new Callers(Array.from({ length: options.number("callers") }, (_, index) => kinds[index % kinds.length] as () => Promise<void>));
  await sleep(2_000);
  callers.take();
  await sleep(5_000);
  const quiet = callers.take();
  const dueMs = Date.now() + 2_000 + jobs;
  for (let from = 0; from < jobs; from += BATCH) {
    await call("mutation", "jobs:schedule", { from: single + from, count: Math.min(BATCH, jobs - from), dueMs });
  }
  await sleep(Math.max(0, dueMs - Date.now()));
  callers.take();
  await eventually("all jobs", async () => ((await call<number>("query", "jobs:doneCount", {})) >= single + jobs ? true : undefined), 600_000);
  const took = Date.now() - dueMs;
  const busy = callers.take();
  await callers.end();

  const done = await all();
  const runs = new Set(done.map(({ job }) => job));
  if (runs.size !== single + jobs || done.length !== single + jobs) {
    throw new Error(`${done.length} runs of ${runs.size} jobs instead of one of each of ${single + jobs}`);
  }
  const late = (part: Done[]): number[] => part.map(({ dueMs: due, startedMs }) => startedMs - due);
  printTable("How late work starts", [
    { name: `bare Node: ${jobs} timers due together`, unit: "ms", samples: timers },
    { name: "a job that is due alone", unit: "ms", samples: late(done.filter(({ job }) => job < single)) },
    { name: `${jobs} jobs due together`, unit: "ms", samples: late(done.filter(({ job }) => job >= single)) },
  ]);
  printTable("Interactive calls", [
    { name: `without jobs (${quiet.failed} failed)`, unit: "ms", samples: quiet.latencies },
    { name: `while the jobs run (${busy.failed} failed)`, unit: "ms", samples: busy.latencies },
  ]);
  console.log(`\n${((jobs / took) * 1000).toFixed(0)} jobs per second\n`);
  judge("failed interactive calls", [{ name: "while jobs run", value: busy.failed }], "at most", 0);
} finally {
  app.delete();
  await server.stop();
}

async function call<T>(kind: string, path: string, args: object): Promise<T> {
  const response = await fetch(`${server.url}/api/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args, format: "json" }),
  });
  const answer = (await response.json()) as { status: string; value: T; errorMessage?: string };
  if (answer.status !== "success") {
    throw new Error(answer.errorMessage ?? JSON.stringify(answer));
  }
  return answer.value;
}

async function all(): Promise<Done[]> {
  const rows: Done[] = [];
  let cursor: string | null = null;
  for (;;) {
    const page: { rows: Done[]; isDone: boolean; cursor: string } = await call("query", "jobs:page", { cursor });
    rows.push(...page.rows);
    if (page.isDone) {
      return rows;
    }
    cursor = page.cursor;
  }
}
