/**
 * Pushes of a changed app while sockets hold subscriptions and calls keep coming: calls that fail, the longest gap between
 * the answers that a client gets, and memory. Compared with the same load without pushes, in the same run.
 */

import { ConvexClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";

import { FreshetServer, residentMegabytes, sleep } from "../../tests/src/server.ts";
import { BenchApp } from "./bench-app.ts";
import { Callers, httpCall } from "./callers.ts";
import { judge } from "./goals.ts";
import { Options } from "./options.ts";
import { printTable } from "./report.ts";

const USAGE = `cargo xtask bench deploy [options]

  --pushes N           [50]
  --sockets N          each with two subscriptions [200]
  --callers N          clients that call one function after another [4]
  --warm N             seconds of the same load before the first push and the first look at memory [60]
  --rest N             seconds between the last push and the next look at memory, under the same load [60]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, { pushes: "50", sockets: "200", callers: "4", warm: "60", rest: "60", "server-args": "" });
const GAP_MS_MAX = 100;
const GROWTH_MAX = 1.2;
/** How long connecting and subscribing takes at most. */
const SETTLING_MS = 5_000;

const server = await FreshetServer.start({ args: options.words("server-args") });
const app = new BenchApp(server, "calls");
const sockets: ConvexClient[] = [];
try {
  await app.push();
  let updates = 0;
  let errors = 0;
  for (let socket = 0; socket < options.number("sockets"); socket += 1) {
    const client = new ConvexClient(server.url, { logger: false });
    sockets.push(client);
    const updated = (): void => void (updates += 1);
    const failed = (): void => void (errors += 1);
    client.onUpdate(makeFunctionReference<"query">("calls:count"), {}, updated, failed);
    client.onUpdate(makeFunctionReference<"query">("calls:emptyQuery"), { unique: socket }, updated, failed);
  }
  const number = (): object => ({ unique: Math.random() });
  const kinds = [
    httpCall(server.url, "query", "calls:emptyQuery", number),
    httpCall(server.url, "mutation", "calls:emptyMutation", number),
    httpCall(server.url, "query", "calls:count", () => ({})),
    httpCall(server.url, "action", "calls:emptyAction", number),
  ];
  const callers = new Callers(Array.from({ length: options.number("callers") }, (_, index) => kinds[index % kinds.length] as () => Promise<void>));
  await sleep(SETTLING_MS);
  callers.take();
  // As long as after the pushes: what calls leave behind for a while (answers above all) is then in both figures.
  await sleep(options.number("warm") * 1000);
  const quiet = callers.take();
  const memory = (): number => residentMegabytes(server.enginePid());
  const before = memory();
  updates = 0;

  const pushes: number[] = [];
  for (let push = 0; push < options.number("pushes"); push += 1) {
    app.write("convex/changed.ts", `import { query } from "./_generated/server";\nexport const version = query({ args: {}, handler: () => ${push} });\n`);
    const start = performance.now();
    await app.push();
    pushes.push(performance.now() - start);
  }
  const busy = callers.take();
  const atEnd = memory();
  await sleep(options.number("rest") * 1000);
  const after = memory();
  await callers.end();

  printTable(`Calls while ${pushes.length} pushes were made and ${sockets.length} sockets were open`, [
    { name: `calls without pushes (${quiet.calls}, ${quiet.failed} failed)`, unit: "ms", samples: quiet.latencies },
    { name: `calls during pushes (${busy.calls}, ${busy.failed} failed)`, unit: "ms", samples: busy.latencies },
    { name: "a push, as the CLI takes it", unit: "ms", samples: pushes },
  ]);
  console.log(`memory of the engine: ${before.toFixed(0)} MiB before, ${atEnd.toFixed(0)} at the end of the last push, ${after.toFixed(0)} after ${options.text("rest")} s`);
  console.log(`subscriptions: ${updates} updates, ${errors} errors`);
  if (busy.firstError !== undefined) {
    console.log(`the first failed call: ${busy.firstError}`);
  }
  console.log();
  judge("failed calls", [{ name: "during pushes", value: busy.failed + errors }], "at most", 0);
  judge("longest gap between a client's answers, ms", [{ name: "during pushes", value: longest(busy.latencies) }], "at most", GAP_MS_MAX);
  judge("the same without pushes, ms", [{ name: "before", value: longest(quiet.latencies) }], "as it is");
  judge("memory afterwards, times that before", [{ name: "engine", value: after / before }], "at most", GROWTH_MAX);
} finally {
  await Promise.all(sockets.map((socket) => socket.close()));
  app.delete();
  await server.stop();
}

function longest(samples: number[]): number {
  return samples.reduce((most, sample) => Math.max(most, sample), 0);
}
