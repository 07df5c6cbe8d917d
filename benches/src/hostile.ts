/**
 * Functions that mean harm, called one after the other while other clients go on with their work: what the callers are told,
 * how long the others wait compared with the same load without harm in the same run, and memory.
 */

import { FreshetServer, residentMegabytes, sleep } from "../../tests/src/server.ts";
import { TestApp } from "../../tests/src/app.ts";
import { Bystanders } from "../../tests/src/bystanders.ts";
import { Calls } from "../../tests/src/calls.ts";
import { HARMFUL_ACTIONS, HARMFUL_QUERIES, type Harm } from "../../tests/src/harm.ts";
import { judge } from "./goals.ts";
import { Options } from "./options.ts";
import { percentile } from "./report.ts";

const USAGE = `cargo xtask bench hostile [options]

  --rounds N           how often each function is called [3]
  --clients N          others that write and watch, and as many that read [2]
  --only NAMES         some functions only, by their names or parts of them
  --rest N             seconds between the last call and the look at memory [60]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, { rounds: "3", clients: "2", only: "", rest: "60", "server-args": "" });
const P99_TIMES_MAX = 3;
const GROWTH_MAX = 1.2;
const WARM_UP_MS = 10_000;
/** Without harm, before each call; the first part is left out, because it may still be busy with what was before. */
const RECOVERY_MS = 500;
const QUIET_MS = 1_500;
/** Counted as the time of a call, too: ending what ran may take longer than telling so. */
const AFTERMATH_MS = 500;
const MEMORY_INTERVAL_MS = 20;

/** What was seen of one function in all rounds. */
interface Seen {
  took: number[];
  others: number[];
  failures: number;
  wrong: string | undefined;
  peak: number;
  restBefore: number;
  restAfter: number;
}

const only = options.words("only");
const isWanted = ({ name, args }: Harm): boolean => only.length === 0 || only.some((part) => `${name} ${Object.values(args).join()}`.includes(part));
const harms = [
  ...HARMFUL_QUERIES.filter(isWanted).map((harm) => ({ harm, kind: "query" as const })),
  ...HARMFUL_ACTIONS.filter(isWanted).map((harm) => ({ harm, kind: "action" as const })),
];

const server = await FreshetServer.start({ args: options.words("server-args") });
const app = new TestApp(server, "hostile");
let others: Bystanders | undefined;
try {
  await app.push();
  const calls = new Calls(server);
  const engine = server.enginePid();
  others = new Bystanders(server.url, options.number("clients"));
  await sleep(WARM_UP_MS);
  const before = residentMegabytes(engine);
  const quiet: number[] = [];
  const seen = new Map<Harm, Seen>();
  // Rounds, because the answers of failed calls are kept for some seconds, and because a machine has better and worse minutes.
  for (let round = 0; round < options.number("rounds"); round += 1) {
    for (const { harm, kind } of harms) {
      await sleep(RECOVERY_MS);
      others.take();
      await sleep(QUIET_MS);
      quiet.push(...others.take());
      const known = seen.get(harm) ?? { took: [], others: [], failures: 0, wrong: undefined, peak: 0, restBefore: residentMegabytes(engine), restAfter: 0 };
      seen.set(harm, known);
      const failuresBefore = others.failures.length;
      const watch = setInterval(() => {
        known.peak = Math.max(known.peak, residentMegabytes(engine));
      }, MEMORY_INTERVAL_MS);
      const began = performance.now();
      const text = await calls.failure(calls[kind](harm.name, harm.args));
      known.took.push(performance.now() - began);
      await sleep(AFTERMATH_MS);
      clearInterval(watch);
      known.others.push(...others.take());
      known.failures += others.failures.length - failuresBefore;
      known.restAfter = residentMegabytes(engine);
      if (!harm.failure.test(text)) {
        known.wrong ??= text;
      }
      if (server.enginePid() !== engine) {
        throw new Error(`${harm.name} ended the engine; the server printed:\n${server.output.slice(-4000)}`);
      }
    }
  }
  await others.stop();
  const failures = others.failures;
  others = undefined;
  await sleep(options.number("rest") * 1000);
  const after = residentMegabytes(engine);

  const baseline = percentile(quiet, 0.99);
  console.log(`\nOthers without harm: p50 ${percentile(quiet, 0.5).toFixed(1)} ms, p99 ${baseline.toFixed(1)} ms, max ${percentile(quiet, 1).toFixed(0)} ms of ${quiet.length} calls`);
  line("called", ["took ms", "others", "p50 ms", "p99 ms", "p99 ratio", "max ms", "failed", "MiB before", "peak", "after"]);
  for (const [harm, it] of seen) {
    const p99 = percentile(it.others, 0.99);
    line(describe(harm), [
      percentile(it.took, 0.5).toFixed(0),
      String(it.others.length),
      percentile(it.others, 0.5).toFixed(1),
      p99.toFixed(1),
      `${(p99 / baseline).toFixed(2)}x`,
      percentile(it.others, 1).toFixed(0),
      String(it.failures),
      it.restBefore.toFixed(0),
      it.peak.toFixed(0),
      it.restAfter.toFixed(0),
    ]);
  }
  for (const [harm, { wrong }] of seen) {
    if (wrong !== undefined) {
      console.log(`${describe(harm)} told its caller: ${wrong}`);
    }
  }
  if (failures.length > 0) {
    console.log(`the first failure of others: ${failures[0]}`);
  }
  console.log(`memory of the engine: ${before.toFixed(0)} MiB under the others' load, ${after.toFixed(0)} without any ${options.text("rest")} s after it all\n`);
  judge("others' p99, times that without harm", [...seen].map(([harm, it]) => ({ name: describe(harm), value: percentile(it.others, 0.99) / baseline })), "at most", P99_TIMES_MAX);
  judge("failed calls of others", [{ name: "in all", value: failures.length }], "at most", 0);
  judge("callers that were not told what is documented", [{ name: "in all", value: [...seen.values()].filter(({ wrong }) => wrong !== undefined).length }], "at most", 0);
  judge("memory afterwards, times that before", [{ name: "engine", value: after / before }], "at most", GROWTH_MAX);
} finally {
  await others?.stop();
  app.delete();
  await server.stop();
}

function describe({ name, args }: Harm): string {
  return `${name} ${Object.values(args).join()}`.trim();
}

function line(name: string, cells: string[]): void {
  console.log(`${name.padEnd(30)} ${cells.map((cell) => cell.padStart(10)).join(" ")}`);
}
