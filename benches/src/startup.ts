/**
 * Time from starting `freshet serve` on an existing data directory to its first answered query, and memory when idle,
 * next to a bare Node HTTP server.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { TestApp } from "../../tests/src/app.ts";
import { FreshetServer, residentMegabytes, sleep } from "../../tests/src/server.ts";
import { BareServer, firstAnswer } from "./bare-server.ts";
import { printTable } from "./report.ts";

const ROUNDS = 10;
const MESSAGES = 2_000;

const QUERY: RequestInit = {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ path: "messages:list", args: {} }),
};

const dataDir = mkdtempSync(join(tmpdir(), "freshet-bench-"));
try {
  let server = await FreshetServer.start({ dataDir });
  const app = new TestApp(server, "basic");
  await app.push();
  await Promise.all(
    Array.from({ length: MESSAGES }, (_, n) =>
      fetch(`${server.url}/api/mutation`, {
        ...QUERY,
        body: JSON.stringify({ path: "messages:send", args: { author: "bench", body: `message ${n}` } }),
      }).then((response) => response.arrayBuffer()),
    ),
  );
  app.delete();
  await server.stop();

  const bare: number[] = [];
  const ready: number[] = [];
  const answered: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const bareStart = performance.now();
    const floor = await BareServer.start();
    bare.push(performance.now() - bareStart);
    await floor.stop();

    const start = performance.now();
    server = await FreshetServer.start({ dataDir });
    ready.push(performance.now() - start);
    await firstAnswer(`${server.url}/api/query`, QUERY);
    answered.push(performance.now() - start);
    await server.stop();
  }
  printTable("Cold start (the figure for Freshet includes `freshet admin-key`, which the harness runs first)", [
    { name: "bare Node HTTP server: start to first answer", unit: "ms", samples: bare },
    { name: "freshet serve: start to listening", unit: "ms", samples: ready },
    { name: "freshet serve: start to first answered query", unit: "ms", samples: answered },
  ]);

  const floor = await BareServer.start();
  server = await FreshetServer.start({ dataDir });
  await firstAnswer(`${server.url}/api/query`, QUERY);
  await sleep(10_000);
  const engine = server.enginePid();
  const hosts = execFileSync("ps", ["-e", "-o", "pid=,ppid="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .filter(([, parent]) => parent === engine)
    .map(([pid]) => pid ?? 0);
  printTable("Resident memory after ten idle seconds", [
    { name: "bare Node HTTP server", unit: "MiB", samples: [residentMegabytes(floor.process.pid ?? 0)] },
    { name: "supervisor", unit: "MiB", samples: [residentMegabytes(server.pid)] },
    { name: "engine: Rust, main thread and all lanes", unit: "MiB", samples: [residentMegabytes(engine)] },
    ...hosts.map((pid) => ({ name: "action host", unit: "MiB", samples: [residentMegabytes(pid)] })),
  ]);
  await floor.stop();
  await server.stop();
} finally {
  rmSync(dataDir, { recursive: true, force: true });
}
