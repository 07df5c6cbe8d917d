/**
 * Time from `kill -9` of the engine to the next answered query and to a client's next confirmed mutation, next to a bare
 * Node HTTP server that is started again by hand.
 */

import { ConvexClient } from "convex/browser";

import { api } from "../../tests/apps/basic/convex/_generated/api.js";
import { TestApp } from "../../tests/src/app.ts";
import { FreshetServer, sleep } from "../../tests/src/server.ts";
import { BareServer, firstAnswer } from "./bare-server.ts";
import { printTable } from "./report.ts";

const ROUNDS = 10;
/** The supervisor waits longer from death to death; one that comes alone is what is measured. */
const HEALTHY_MS = 2_500;

const server = await FreshetServer.start();
const app = new TestApp(server, "basic");
await app.push();
const client = new ConvexClient(server.url, { logger: false });
const bare: number[] = [];
const http: number[] = [];
const socket: number[] = [];
for (let round = 0; round < ROUNDS; round += 1) {
  await sleep(HEALTHY_MS);
  const floor = await BareServer.start();
  const port = Number(new URL(floor.url).port);
  const bareStart = performance.now();
  await floor.stop("SIGKILL");
  await (await BareServer.start(port)).stop();
  bare.push(performance.now() - bareStart);

  await client.mutation(api.counters.add, { name: "recovery", by: 1 });
  const start = performance.now();
  server.killEngine();
  const confirmed = client.mutation(api.counters.add, { name: "recovery", by: 1 }).then(() => {
    socket.push(performance.now() - start);
  });
  await firstAnswer(`${server.url}/api/query`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path: "counters:get", args: { name: "recovery" } }),
  });
  http.push(performance.now() - start);
  await confirmed;
}
printTable("From kill -9 of the engine", [
  { name: "bare Node HTTP server: killed, started, answered", unit: "ms", samples: bare },
  { name: "Freshet: first answered query over HTTP", unit: "ms", samples: http },
  { name: "Freshet: mutation confirmed (client waits 0.5-1.5 s)", unit: "ms", samples: socket },
]);
await client.close();
app.delete();
await server.stop();
