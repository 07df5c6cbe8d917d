/**
 * What becomes dearer as a database grows: commits, reads, starting, memory, the file. The same measurements at each
 * size, as ratios to the smallest; a server that never changes is measured beside them, to tell the machine's moods.
 */

import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FreshetServer, residentMegabytes } from "../../tests/src/server.ts";
import { firstAnswer } from "./bare-server.ts";
import { pushApp } from "./bench-app.ts";
import { loadDocuments } from "./documents.ts";
import { type Outcome, loadgen } from "./loadgen.ts";
import { Options } from "./options.ts";
import { number, times } from "./outcome-table.ts";
import { Peer, nodeOf } from "./peer.ts";
import { percentile } from "./report.ts";

const USAGE = `cargo xtask bench growth [options]

  --sizes LIST         numbers of documents, ascending [10000,100000,1000000]
  --full               one size more: 5000000 documents, some minutes more
  --connections N      [8]
  --seconds N          to measure each figure [2]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, { sizes: "10000,100000,1000000", full: false, connections: "8", seconds: "2", "server-args": "" });
const FULL = 5_000_000;
const sizes = [...options.numbers("sizes"), ...(options.switch("full") ? [FULL] : [])];
/** A few levels more of a tree and a cache that no longer holds all are not growth; more than this is. */
const FLAT_MAX = 2;
/** A cache that has filled up stops growing: what grows at all grows from the last size but one to the last. */
const STILL_GROWING_MIN = 1.4;
const STARTS = 3;
/** Every how manyth document is read and changed by its id. */
const STEP = 10;
const ROOM_SIZE = 1000;
const args = options.words("server-args");

/** One measured thing at one size; what ought to stay as it is. */
interface Figure {
  name: string;
  unit: string;
  value: number;
  /** Whether nothing is said of it, because it is here to tell what the machine does. */
  control?: boolean;
}

const dataDir = mkdtempSync(join(tmpdir(), "freshet-bench-growth-"));
const idFile = join(dataDir, "ids.txt");
const columns: Figure[][] = [];
let server = await FreshetServer.start({ dataDir, args });
const peer = await Peer.start({ node: nodeOf(server.enginePid()), documents: 10_000 });
try {
  await pushApp(server, "documents");
  let loaded = 0;
  const ids: string[] = [];
  for (const size of sizes) {
    const began = performance.now();
    for (const id of await loadDocuments(server, loaded, size, STEP)) {
      ids.push(id);
    }
    const seconds = (performance.now() - began) / 1000;
    console.log(`${size} documents: ${size - loaded} more loaded in ${seconds.toFixed(1)} s`);
    const rate = (size - loaded) / seconds;
    loaded = size;
    writeFileSync(idFile, ids.join("\n"));
    columns.push([{ name: "loading, 4000 documents in a transaction", unit: "us", value: 1e6 / rate }, ...(await measure(size))]);
  }
  print();
} finally {
  await peer.stop();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
}

async function measure(size: number): Promise<Figure[]> {
  const fullRss = residentMegabytes(server.enginePid());
  const starts: number[] = [];
  for (let round = 0; round < STARTS; round += 1) {
    await server.stop();
    const start = performance.now();
    server = await FreshetServer.start({ dataDir, args });
    await firstAnswer(`${server.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "documents:range", args: { from: Math.floor(size / 2) } }),
    });
    starts.push(performance.now() - start);
  }
  const startedRss = residentMegabytes(server.enginePid());
  const get = await load("query", "get", '"id":"$VALUE","unique":$UNIQUE', ["--values", idFile]);
  const range = await load("query", "range", '"from":$VALUE,"unique":$UNIQUE', ["--numbers", String(size - 10)]);
  const collect = await load("query", "collect", '"room":$VALUE,"unique":$UNIQUE', ["--numbers", String(size / ROOM_SIZE)]);
  const touch = await load("mutation", "touch", '"id":"$VALUE","unique":$UNIQUE', ["--values", idFile]);
  const add = await load("mutation", "add", '"number":$VALUE', ["--numbers", String(size)]);
  const usedRss = residentMegabytes(server.enginePid());
  const control = await loadgen(
    ...["requests", "--url", peer.url, "--server-pid", String(peer.pid), "--path", "/get", "--body", '{"id":$VALUE}'],
    ...["--numbers", "10000", ...time()],
  );
  return [
    ...both("change of a document", touch),
    ...both("new document", add),
    ...both("point read", get),
    ...both("range of 10", range),
    ...both(`collect of ${ROOM_SIZE}`, collect),
    { name: "freshet serve to the first answered query", unit: "ms", value: percentile(starts, 0.5) },
    { name: "engine's memory after loading", unit: "MiB", value: fullRss },
    { name: "engine's memory after a start", unit: "MiB", value: startedRss },
    { name: "engine's memory after these reads and writes", unit: "MiB", value: usedRss },
    { name: "files, for each document", unit: "B", value: fileBytes() / size },
    { name: "control: point read of the peer, processor", unit: "us", value: control.server_cpu_us ?? NaN, control: true },
    { name: "control: point read of the peer, p50", unit: "ms", value: control.p50_ms, control: true },
  ];
}

function both(name: string, outcome: Outcome): Figure[] {
  return [
    { name: `${name}, processor`, unit: "us", value: outcome.server_cpu_us ?? NaN },
    { name: `${name}, p50`, unit: "ms", value: outcome.p50_ms },
  ];
}

function time(): string[] {
  return ["--connections", options.text("connections"), "--seconds", options.text("seconds"), "--warmup", "0.5"];
}

async function load(kind: "query" | "mutation", name: string, fields: string, values: string[]): Promise<Outcome> {
  const outcome = await loadgen(
    ...["requests", "--url", server.url, "--server-pid", String(server.pid), "--path", `/api/${kind}`],
    ...["--body", `{"path":"documents:${name}","args":{${fields}}}`, "--expect", '{"status":"success"'],
    ...[...values, ...time()],
  );
  if (outcome.failed > 0) {
    throw new Error(`${outcome.failed} calls of ${name} failed; the first: ${outcome.first_error}`);
  }
  return outcome;
}

function fileBytes(): number {
  return readdirSync(dataDir)
    .filter((name) => /\.(db|sqlite3?|db-wal|sqlite3?-wal)$/.test(name))
    .reduce((sum, name) => sum + statSync(join(dataDir, name)).size, 0);
}

function print(): void {
  console.log(`\nFigures at each size, and their ratio to the smallest. Nothing here need grow: GROWS marks what does, over ${FLAT_MAX}x and more than the control, and at the last step still.`);
  const line = (name: string, cells: string[]): void => {
    console.log(`${name.padEnd(50)} ${cells.map((cell) => cell.padStart(20)).join(" ")}`);
  };
  line("documents", sizes.map(String));
  // A machine that has become busier makes everything dearer; that much is not held against the server.
  const mood = (column: Figure[], unit: string): number => {
    const of = (figures: Figure[] | undefined): number => figures?.find((figure) => figure.control === true && figure.unit === unit)?.value ?? 1;
    return Math.max(1, of(column) / of(columns[0]));
  };
  let growing = 0;
  for (const [row, { name, unit, value: base, control }] of (columns[0] ?? []).entries()) {
    const values = columns.map((column) => column[row]?.value ?? NaN);
    const [before, last] = [values.at(-2) ?? NaN, values.at(-1) ?? NaN];
    const goesOn = last / before > STILL_GROWING_MIN;
    const grows = control !== true && goesOn && last / base > FLAT_MAX * mood(columns.at(-1) ?? [], unit);
    growing += grows ? 1 : 0;
    const cells = values.map((value) => `${number(value)} ${unit}  ${times(value / base)}`);
    line(name, [...cells, ...(grows ? ["GROWS"] : [])]);
  }
  console.log(growing === 0 ? "\nPASS   nothing grows" : `\nSHORT  ${growing} figures grow`);
}
