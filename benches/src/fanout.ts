/**
 * Fan-out: many clients watch a list of 100 messages, and one of its messages changes. Next to a bare Node.js server that
 * sends the same list to everybody, which is the practical limit, and which has no query, no transaction and no disk.
 */

import { spawn } from "node:child_process";
import { join, resolve } from "node:path";

import { FreshetServer } from "../../tests/src/server.ts";
import { pushApp } from "./bench-app.ts";
import { type Case, judge } from "./goals.ts";
import { loadgen } from "./loadgen.ts";
import { Options } from "./options.ts";
import { number } from "./outcome-table.ts";
import { nodeOf } from "./peer.ts";

const USAGE = `cargo xtask bench fanout [options]

  --only LIST          of freshet, peer [all]
  --clients LIST       that watch one list [1000,10000]
  --distinct N         clients that watch a list each, of which one changes; 0 to leave it out [1000]
  --rate LIST          changes per second [1,50]
  --messages N         in the list [100]
  --compression LIST   of off, on [off,on]
  --seconds N          to measure each line [8]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, {
  only: "freshet,peer",
  clients: "1000,10000",
  distinct: "1000",
  rate: "1,50",
  messages: "100",
  compression: "off,on",
  seconds: "8",
  "server-args": "",
});
const only = options.words("only");
const messages = options.number("messages");
/** Messages of each list when every client has its own. */
const DISTINCT_MESSAGES = 10;
const SEED_DOCUMENTS = 4000;

/** The generator's own field names. */
interface Fanout {
  changes: number;
  all_p50_ms: number;
  all_p99_ms: number;
  one_p50_ms: number;
  one_p99_ms: number;
  server_cpu_ms: number | null;
  generator_cpu_ms: number;
  bytes: number;
  memory_bytes: number | null;
  stray: number;
  unreached: number;
  elsewhere: number | null;
}

interface Line {
  clients: number;
  distinct: boolean;
  rate: number;
  compression: boolean;
}

const COLUMNS = ["changes", "all p50 ms", "all p99 ms", "one p50 ms", "one p99 ms", "CPU ms", "client ms", "bytes", "KiB/idle", "others"];

const faster: Case[] = [];
const cheaper: Case[] = [];
const smaller: Case[] = [];
const tooMuch: string[] = [];
const plainBytes = new Map<string, number>();
let peerNode: string | undefined;

for (const compression of options.words("compression").map((word) => word === "on")) {
  for (const rate of options.numbers("rate")) {
    for (const clients of options.numbers("clients")) {
      await compare({ clients, distinct: false, rate, compression });
    }
    if (options.number("distinct") > 0) {
      await compare({ clients: options.number("distinct"), distinct: true, rate, compression });
    }
  }
}
console.log();
judge("time of the bare broadcast until all have it, times", faster, "at most", 1);
judge("processor time of the bare broadcast, times", cheaper, "as it is");
judge("bytes of the same without compression, times", smaller, "at most", 0.1);
for (const line of tooMuch) {
  console.log(`       too much for this machine: ${line}`);
}

function describe({ clients, distinct, rate, compression }: Line): string {
  const what = distinct ? `${clients} clients on ${clients} lists of ${DISTINCT_MESSAGES}` : `${clients} clients on one list of ${messages}`;
  return `${what}, ${rate}/s, ${compression ? "compressed" : "plain"}`;
}

async function compare(line: Line): Promise<void> {
  console.log(`\n${describe(line)}`);
  print("", COLUMNS);
  const freshet = only.includes("freshet") ? await measureFreshet(line) : undefined;
  if (freshet !== undefined) {
    show("Freshet", freshet);
    if (freshet.stray > 0) {
      throw new Error(`${freshet.stray} updates reached clients that they do not concern`);
    }
    const shape = `${line.clients} ${line.distinct} ${line.rate}`;
    const plain = plainBytes.get(shape);
    if (!line.compression && freshet.unreached === 0) {
      plainBytes.set(shape, freshet.bytes);
    } else if (plain !== undefined && !line.distinct && freshet.unreached === 0) {
      smaller.push({ name: describe(line), value: freshet.bytes / plain });
    }
  }
  // A broadcast has nothing to choose from.
  const peer = only.includes("peer") && !line.distinct ? await measurePeer(line) : undefined;
  if (peer !== undefined) {
    show("bare ws broadcast", peer);
  }
  if (freshet !== undefined && freshet.unreached > 0) {
    // More than the machine can carry: there is nothing to compare, and the other lines tell something all the same.
    tooMuch.push(`${describe(line)}: ${(freshet.changes - freshet.unreached).toFixed(0)} of ${freshet.changes} changes reached everybody`);
  } else if (freshet !== undefined && peer !== undefined) {
    faster.push({ name: describe(line), value: peer.unreached > 0 ? 0 : freshet.all_p50_ms / peer.all_p50_ms });
    cheaper.push({ name: describe(line), value: peer.unreached > 0 ? NaN : (freshet.server_cpu_ms ?? NaN) / (peer.server_cpu_ms ?? NaN) });
  }
}

async function measureFreshet(line: Line): Promise<Fanout> {
  const server = await FreshetServer.start({ args: options.words("server-args") });
  try {
    await pushApp(server, "feed");
    const [lists, each] = line.distinct ? [line.clients, DISTINCT_MESSAGES] : [1, messages];
    const step = Math.max(1, Math.floor(SEED_DOCUMENTS / each));
    for (let first = 0; first < lists; first += step) {
      await call(server.url, "feed:seed", { first, channels: Math.min(step, lists - first), messages: each });
    }
    return await generate(server.url, server.pid, line);
  } finally {
    await server.stop();
  }
}

async function call(url: string, path: string, args: unknown): Promise<void> {
  const response = await fetch(`${url}/api/mutation`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args }),
  });
  const answer = (await response.json()) as { status: string };
  if (answer.status !== "success") {
    throw new Error(`${path}: ${JSON.stringify(answer)}`);
  }
}

async function measurePeer(line: Line): Promise<Fanout> {
  peerNode ??= await engineNode();
  const args = ["broadcast.mjs", String(messages), line.compression ? "deflate" : "plain"];
  const child = spawn(peerNode, args, { cwd: join(resolve(import.meta.dirname, ".."), "peers"), stdio: ["ignore", "pipe", "inherit"] });
  try {
    const port = await new Promise<number>((resolvePort, reject) => {
      child.stdout.once("data", (chunk: Buffer) => {
        resolvePort(Number(chunk.toString()));
      });
      child.once("exit", () => {
        reject(new Error("the peer has ended"));
      });
    });
    return await generate(`http://127.0.0.1:${port}`, child.pid ?? -1, line);
  } finally {
    const ended = new Promise((resolveEnd) => child.once("exit", resolveEnd));
    child.kill();
    await ended;
  }
}

/** The Node.js that Freshet's engine runs on. */
async function engineNode(): Promise<string> {
  const server = await FreshetServer.start();
  try {
    return nodeOf(server.enginePid());
  } finally {
    await server.stop();
  }
}

async function generate(url: string, pid: number, line: Line): Promise<Fanout> {
  const load = ["--clients", String(line.clients), "--rate", String(line.rate), "--seconds", options.text("seconds"), "--warmup", "2"];
  const each = ["--messages", String(line.distinct ? DISTINCT_MESSAGES : messages)];
  const shape = [...(line.distinct ? ["--distinct"] : []), ...(line.compression ? ["--deflate"] : [])];
  return await loadgen<Fanout>("fanout", "--url", url, "--server-pid", String(pid), ...load, ...each, ...shape);
}

function show(name: string, fanout: Fanout): void {
  if (fanout.unreached > 0) {
    console.log(`${name}: ${fanout.unreached} of ${fanout.changes} changes had not reached everybody half a minute after the end`);
    return;
  }
  print(name, [
    String(fanout.changes),
    number(fanout.all_p50_ms),
    number(fanout.all_p99_ms),
    number(fanout.one_p50_ms),
    number(fanout.one_p99_ms),
    number(fanout.server_cpu_ms ?? NaN),
    number(fanout.generator_cpu_ms),
    number(fanout.bytes),
    number((fanout.memory_bytes ?? NaN) / 1024),
    fanout.elsewhere === null ? "-" : `${(fanout.elsewhere * 100).toFixed(0)} %`,
  ]);
}

function print(name: string, cells: string[]): void {
  console.log(`${name.padEnd(20)} ${cells.map((cell) => cell.padStart(10)).join(" ")}`);
}
