/** The transfer workload through the real npm client, in as many processes as there are processors. */

import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import type { Outcome } from "./loadgen.ts";
import type { Begin, Plan, Seen } from "./npm-worker.ts";
import { processorTimeUs } from "./processor.ts";
import { percentile } from "./report.ts";
import { sleep } from "../../tests/src/server.ts";

export interface NpmLoad extends Omit<Plan, "clients"> {
  connections: number;
  warmup: number;
  seconds: number;
  serverPid: number;
}

export async function npmClients({ connections, warmup, seconds, serverPid, ...plan }: NpmLoad): Promise<Outcome> {
  const workers = Array.from({ length: Math.min(availableParallelism(), connections) }, () =>
    fork(join(import.meta.dirname, "npm-worker.ts"), { execArgv: ["--import", "tsx"] }),
  );
  try {
    await Promise.all(
      workers.map((worker, index) => {
        const clients = Math.floor((connections + index) / workers.length);
        worker.send({ ...plan, clients } satisfies Plan);
        return message(worker);
      }),
    );
    const clock = (): number => performance.timeOrigin + performance.now();
    const start = clock() + warmup * 1000;
    const end = start + seconds * 1000;
    const seen = Promise.all(workers.map((worker) => message<Seen>(worker)));
    for (const worker of workers) {
      worker.send({ start, end } satisfies Begin);
    }
    const pids = workers.map((worker) => worker.pid ?? -1);
    const used = (): number[] => [serverPid, ...pids].map(processorTimeUs);
    await sleep(start - clock());
    const before = used();
    await sleep(end - clock());
    const [server = NaN, ...clients] = used().map((us, index) => us - (before[index] ?? NaN));
    const all = await seen;
    const latencies = all.flatMap((one) => one.latencies);
    const completed = latencies.length;
    return {
      seconds,
      completed,
      per_second: completed / seconds,
      p50_ms: percentile(latencies, 0.5),
      p99_ms: percentile(latencies, 0.99),
      failed: all.reduce((sum, one) => sum + one.failed, 0),
      refused: 0,
      first_error: all.find((one) => one.firstError !== undefined)?.firstError ?? null,
      server_cpu_us: server / completed,
      generator_cpu_us: clients.reduce((sum, us) => sum + us, 0) / completed,
      elsewhere: null,
      retries: null,
      balanced: null,
    };
  } finally {
    for (const worker of workers) {
      worker.kill();
    }
  }
}

/** The next message of a worker; fails when it ends instead. */
async function message<T>(worker: ChildProcess): Promise<T> {
  return await new Promise((resolve, reject) => {
    const ended = (code: number | null): void => {
      reject(new Error(`a process of clients ended with ${code}`));
    };
    worker.once("exit", ended);
    worker.once("message", (value) => {
      worker.off("exit", ended);
      resolve(value as T);
    });
  });
}
