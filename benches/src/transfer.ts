/**
 * Fund transfers: 100,000 accounts; a transaction reads two, checks the balance, writes both, and is durable before it is
 * answered. Freshet through its WebSocket protocol, next to a hand-written HTTP server with SQLite in it and to bare
 * SQLite, all in the same run on the same disk. Requests in flight on one connection are pipelined, over HTTP, too.
 */

import { statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";

import { FreshetServer } from "../../tests/src/server.ts";
import { pushApp } from "./bench-app.ts";
import { type Case, judge } from "./goals.ts";
import { type Outcome, loadgen, loadgenBinary } from "./loadgen.ts";
import { npmClients } from "./npm-clients.ts";
import { Options } from "./options.ts";
import { Peer, nodeOf } from "./peer.ts";
import { OutcomeTable } from "./outcome-table.ts";

const USAGE = `cargo xtask bench transfer [options]

  --only LIST          of freshet, npm, peer, raw [all]
  --alpha LIST         exponents of Zipf's law by which accounts are chosen [0,1.5]
  --connections LIST   [16,64]
  --in-flight LIST     unanswered requests of each connection [1,40]
  --accounts N         [100000]
  --seconds N          to measure each line [3]
  --warmup N           seconds of load before that [1]
  --server-args="..."  more arguments for \`freshet serve\`
  --serve              only start the server, push the app, make the accounts, and print the command for one configuration

One configuration against a server that runs already, with the app of benches/apps/transfer pushed to it:
  target/release/freshet-loadgen transfer --url http://127.0.0.1:3210 --connections 16 --in-flight 40 --alpha 1.5 --seconds 10`;

const options = new Options(USAGE, {
  only: "freshet,npm,peer,raw",
  alpha: "0,1.5",
  connections: "16,64",
  "in-flight": "1,40",
  accounts: "100000",
  seconds: "3",
  warmup: "1",
  "server-args": "",
  serve: false,
});
const only = options.words("only");
const accounts = options.text("accounts");
const time = ["--seconds", options.text("seconds"), "--warmup", options.text("warmup")];
const TMPFS = 0x01021994;
/** What the load generator puts into each account. */
const BALANCE = 1_000_000;

interface Configuration {
  alpha: number;
  connections: number;
  inFlight: number;
}

/** What the choice of accounts does, all else being equal. */
class Skews {
  readonly cases: Case[] = [];
  readonly #first = new Map<string, number>();

  /** The first alpha of a shape is what the others are compared with. */
  add(shape: string, alpha: number, value: number): void {
    const first = this.#first.get(shape);
    if (first === undefined) {
      this.#first.set(shape, value);
    } else {
      this.cases.push({ name: `${shape}, alpha ${alpha}`, value: value / first });
    }
  }
}

const server = await FreshetServer.start({ args: options.words("server-args") });
let peer: Peer | undefined;
try {
  await pushApp(server, "transfer");
  if (options.switch("serve")) {
    await serve();
  } else {
    peer = only.includes("peer") ? await Peer.start({ node: nodeOf(server.enginePid()), accounts: Number(accounts) }) : undefined;
    await compare();
  }
} finally {
  await peer?.stop();
  await server.stop();
}

async function serve(): Promise<void> {
  await loadgen("transfer", "--url", server.url, "--accounts", accounts, "--seconds", "0.1", "--warmup", "0");
  console.log(`server: ${server.url}, supervisor ${server.pid}, engine ${server.enginePid()}, data in ${server.dataDir}

${loadgenBinary()} transfer --url ${server.url} --accounts ${accounts} --connections 16 --in-flight 40 --alpha 1.5 --seconds 10 --server-pid ${server.pid} --admin-key '${server.adminKey}'

Ctrl-C ends the server.`);
  const kept = setInterval(() => undefined, 60_000);
  await new Promise((resolve) => {
    process.once("SIGINT", resolve);
    process.once("SIGTERM", resolve);
  });
  clearInterval(kept);
}

async function compare(): Promise<void> {
  if (statfsSync(tmpdir()).type === TMPFS) {
    console.log(`${tmpdir()} is in memory, where waiting for the disk costs nothing; set TMPDIR to a folder on a disk`);
  }
  await loadgen("transfer", "--url", server.url, "--accounts", accounts, "--seconds", "0.1", "--warmup", "0");
  const { ids } = await listAccounts();
  console.log(`\nFund transfers between ${accounts} accounts; ratios are to the peer of the same block`);
  const speedups: Case[] = [];
  const costs: Case[] = [];
  const shares: Case[] = [];
  const skews = new Skews();
  const skewedCosts = new Skews();
  for (const inFlight of options.numbers("in-flight")) {
    for (const connections of options.numbers("connections")) {
      for (const alpha of options.numbers("alpha")) {
        const configuration = { alpha, connections, inFlight };
        const name = `${connections} connections, ${inFlight} in flight on each, alpha ${alpha}`;
        const found = await measure(configuration, ids, name);
        const rate = found.freshet?.per_second ?? NaN;
        speedups.push({ name, value: rate / (found.peer?.per_second ?? NaN) });
        costs.push({ name, value: (found.freshet?.server_cpu_us ?? NaN) / (found.peer?.server_cpu_us ?? NaN) });
        shares.push({ name, value: rate / (found.raw?.per_second ?? NaN) });
        const shape = `${connections} connections, ${inFlight} in flight on each`;
        skews.add(shape, alpha, rate);
        skewedCosts.add(shape, alpha, found.freshet?.server_cpu_us ?? NaN);
      }
    }
  }
  if (only.includes("raw")) {
    const floor = new OutcomeTable("One transfer at a time, each durable before the next: the floor of the disk");
    floor.add("bare SQLite", await loadgen("sqlite", "--accounts", accounts, "--group", "1", ...time));
  }
  if ((await listAccounts()).total !== ids.length * BALANCE) {
    throw new Error("the balances do not add up");
  }
  if (peer !== undefined && (await peer.call("/balanced")) !== true) {
    throw new Error("the peer's balances do not add up");
  }
  console.log();
  judge("throughput of the peer, times", speedups, "at least", 5);
  judge("processor time of the peer, times", costs, "at most", 1 / 3);
  judge("throughput with a higher alpha, of that with the first", skews.cases, "at least", 0.9);
  judge("processor time with a higher alpha, of that with the first", skewedCosts.cases, "as it is");
  judge("throughput of bare SQLite with the same group commit, times", shares, "as it is");
}

interface Found {
  freshet?: Outcome;
  peer?: Outcome;
  raw?: Outcome;
}

async function measure({ alpha, connections, inFlight }: Configuration, ids: string[], name: string): Promise<Found> {
  const table = new OutcomeTable(name);
  const what = ["--accounts", accounts, "--alpha", String(alpha)];
  const load = ["--connections", String(connections), "--in-flight", String(inFlight), ...time];
  const found: Found = {};
  if (peer !== undefined) {
    found.peer = await loadgen("http", "--url", peer.url, "--server-pid", String(peer.pid), ...what, ...load);
    table.add(peer.name, found.peer, "base");
  }
  if (only.includes("freshet")) {
    const target = ["--url", server.url, "--server-pid", String(server.pid), "--admin-key", server.adminKey];
    found.freshet = await loadgen("transfer", ...target, ...what, ...load);
    table.add("Freshet, Rust generator over WebSocket", found.freshet);
  }
  if (only.includes("npm")) {
    const npm = await npmClients({
      url: server.url,
      ids,
      alpha,
      connections,
      inFlight,
      warmup: options.number("warmup"),
      seconds: options.number("seconds"),
      serverPid: server.pid,
    });
    table.add("Freshet, npm clients over WebSocket", npm);
  }
  if (only.includes("raw")) {
    found.raw = await loadgen("sqlite", ...what, "--group", String(connections * inFlight), ...time);
    table.add("bare SQLite, one commit for all in flight", found.raw);
  }
  return found;
}

/** All accounts' ids, and what they hold together. */
async function listAccounts(): Promise<{ ids: string[]; total: number }> {
  const ids: string[] = [];
  let total = 0;
  let cursor: string | null = null;
  for (;;) {
    const response = await fetch(`${server.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "accounts:page", args: { cursor, count: 4000 } }),
    });
    const { value } = (await response.json()) as { value: { ids: string[]; total: number; cursor: string; isDone: boolean } };
    ids.push(...value.ids);
    total += value.total;
    if (value.isDone) {
      return { ids, total };
    }
    cursor = value.cursor;
  }
}
