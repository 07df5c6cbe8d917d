/**
 * What a call costs by itself: an empty query that no cache answers, an empty mutation, one with an insert, an action, an
 * HTTP action, each over HTTP, next to a bare Node HTTP server that answers a constant. And how long the first call after a
 * push takes.
 */

import { FreshetServer } from "../../tests/src/server.ts";
import { BareServer, firstAnswer } from "./bare-server.ts";
import { BenchApp } from "./bench-app.ts";
import { type Case, judge } from "./goals.ts";
import { loadgen } from "./loadgen.ts";
import { Options } from "./options.ts";
import { OutcomeTable } from "./outcome-table.ts";
import { printTable } from "./report.ts";

const USAGE = `cargo xtask bench calls [options]

  --connections LIST   [16]
  --seconds N          to measure each line [3]
  --warmup N           seconds of load before that [1]
  --pushes N           after each of which the first calls are timed [5]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, { connections: "16", seconds: "3", warmup: "1", pushes: "5", "server-args": "" });

const CALLS = [
  { name: "query, empty, uncached", path: "/api/query", function: "calls:emptyQuery" },
  { name: "mutation, empty", path: "/api/mutation", function: "calls:emptyMutation" },
  { name: "mutation with one insert", path: "/api/mutation", function: "calls:insert" },
  { name: "action, empty", path: "/api/action", function: "calls:emptyAction" },
  { name: "HTTP action, empty", path: "/http/empty", function: undefined },
];

const server = await FreshetServer.start({ args: options.words("server-args") });
const app = new BenchApp(server, "calls");
const bare = await BareServer.start();
try {
  await app.push();
  const speeds: Case[] = [];
  const costs: Case[] = [];
  for (const connections of options.numbers("connections")) {
    const load = ["--connections", String(connections), "--seconds", options.text("seconds"), "--warmup", options.text("warmup")];
    const table = new OutcomeTable(`${connections} connections`);
    const base = await loadgen("requests", "--url", bare.url, "--server-pid", String(bare.process.pid), ...load, "--path", "/", "--body", "{}", "--expect", "ok");
    table.add("bare Node HTTP server", base, "base");
    for (const call of CALLS) {
      const body = call.function === undefined ? "{}" : JSON.stringify({ path: call.function, args: { unique: 0 } }).replace('"unique":0', '"unique":$UNIQUE');
      const outcome = await loadgen(
        ...["requests", "--url", server.url, "--server-pid", String(server.pid), ...load, "--path", call.path, "--body", body],
        ...["--expect", call.function === undefined ? "ok" : '{"status":"success"'],
      );
      table.add(call.name, outcome);
      const name = `${call.name}, ${connections} connections`;
      speeds.push({ name, value: outcome.per_second / base.per_second });
      costs.push({ name, value: (outcome.server_cpu_us ?? NaN) / (base.server_cpu_us ?? NaN) });
    }
  }
  console.log();
  judge("calls per second of the bare server, times", speeds, "as it is");
  judge("processor time of the bare server, times", costs, "as it is");

  const post = (path: string): RequestInit => ({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args: { unique: Math.random() } }),
  });
  const timed = async (url: string, init: RequestInit): Promise<number> => {
    const start = performance.now();
    await firstAnswer(url, init);
    return performance.now() - start;
  };
  const floor: number[] = [];
  const cold: number[] = [];
  const warm: number[] = [];
  const coldAction: number[] = [];
  for (let push = 0; push < options.number("pushes"); push += 1) {
    app.write("convex/changed.ts", `export const changed = ${push};\n`);
    await app.push();
    cold.push(await timed(`${server.url}/api/query`, post("calls:emptyQuery")));
    warm.push(await timed(`${server.url}/api/query`, post("calls:emptyQuery")));
    coldAction.push(await timed(`${server.url}/api/action`, post("calls:emptyAction")));
    floor.push(await timed(bare.url, {}));
  }
  printTable("The first calls after a push (the CLI has just returned)", [
    { name: "bare Node HTTP server", unit: "ms", samples: floor },
    { name: "first query", unit: "ms", samples: cold },
    { name: "second query", unit: "ms", samples: warm },
    { name: "first action", unit: "ms", samples: coldAction },
  ]);
} finally {
  app.delete();
  await bare.stop();
  await server.stop();
}
