/**
 * Reads over HTTP: a document by its id, a thousand by an index, ten of a million by a range; next to a hand-written HTTP
 * server with SQLite in it. Arguments differ from call to call, so that no cache answers; lines that a cache may answer
 * are marked.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FreshetServer } from "../../tests/src/server.ts";
import { pushApp } from "./bench-app.ts";
import { loadDocuments } from "./documents.ts";
import { type Case, judge } from "./goals.ts";
import { type Outcome, loadgen } from "./loadgen.ts";
import { Options } from "./options.ts";
import { OutcomeTable } from "./outcome-table.ts";
import { Peer, nodeOf } from "./peer.ts";

const USAGE = `cargo xtask bench reads [options]

  --only LIST          of get, collect, range [all]
  --documents N        [1000000]
  --connections LIST   [16]
  --seconds N          to measure each line [3]
  --warmup N           seconds of load before that [1]
  --server-args="..."  more arguments for \`freshet serve\``;

const options = new Options(USAGE, {
  only: "get,collect,range",
  documents: "1000000",
  connections: "16",
  seconds: "3",
  warmup: "1",
  "server-args": "",
});
const documents = options.number("documents");
const ROOM_SIZE = 1000;
/** Every how manyth document is read by its id; the file of ids would be large otherwise. */
const STEP = 10;

interface Read {
  title: string;
  route: string;
  /** Name of the argument, and where its values come from. */
  argument: string;
  /** Values of Freshet's argument; documents of the peer have integers as ids. */
  values: (ids: string) => string[];
  peerValues: number;
  quote: string;
}

const READS: Read[] = [
  { title: "get: one document by its id", route: "get", argument: "id", values: (ids) => ["--values", ids], peerValues: documents, quote: '"' },
  {
    title: `collect: ${ROOM_SIZE} documents by an index`,
    route: "collect",
    argument: "room",
    values: () => ["--numbers", String(documents / ROOM_SIZE)],
    peerValues: documents / ROOM_SIZE,
    quote: "",
  },
  {
    title: `range: 10 of ${documents} documents`,
    route: "range",
    argument: "from",
    values: () => ["--numbers", String(documents - 10)],
    peerValues: documents - 10,
    quote: "",
  },
];

const folder = mkdtempSync(join(tmpdir(), "freshet-bench-ids-"));
const server = await FreshetServer.start({ args: options.words("server-args") });
let peer: Peer | undefined;
try {
  await pushApp(server, "documents");
  const start = performance.now();
  const ids = await loadDocuments(server, 0, documents, STEP);
  const seconds = (performance.now() - start) / 1000;
  console.log(`loaded ${documents} documents in ${seconds.toFixed(0)} s, ${(documents / seconds).toFixed(0)} per second`);
  const file = join(folder, "ids");
  writeFileSync(file, ids.join("\n"));
  peer = await Peer.start({ node: nodeOf(server.enginePid()), documents });
  const speedups: Case[] = [];
  const costs: Case[] = [];
  for (const read of READS.filter(({ route }) => options.words("only").includes(route))) {
    for (const connections of options.numbers("connections")) {
      const name = `${read.title}, ${connections} connections`;
      const [base, own] = await measure(name, read, connections, file, peer);
      speedups.push({ name, value: own.per_second / base.per_second });
      costs.push({ name, value: (own.server_cpu_us ?? NaN) / (base.server_cpu_us ?? NaN) });
    }
  }
  console.log();
  judge("throughput of the peer, times", speedups, "as it is");
  judge("processor time of the peer, times", costs, "as it is");
} finally {
  await peer?.stop();
  await server.stop();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(name: string, read: Read, connections: number, ids: string, other: Peer): Promise<[Outcome, Outcome]> {
  const table = new OutcomeTable(name);
  const load = ["--connections", String(connections), "--seconds", options.text("seconds"), "--warmup", options.text("warmup")];
  const base = await loadgen(
    ...["requests", "--url", other.url, "--server-pid", String(other.pid), ...load],
    ...["--path", `/${read.route}`, "--body", `{"${read.argument}":$VALUE,"unique":$UNIQUE}`],
    ...["--numbers", String(read.peerValues)],
  );
  table.add(other.name, base, "base");
  const freshet = ["requests", "--url", server.url, "--server-pid", String(server.pid), ...load, "--path", "/api/query"];
  const value = `${read.quote}$VALUE${read.quote}`;
  const body = (more: string): string => `{"path":"documents:${read.route}","args":{"${read.argument}":${value}${more}}}`;
  const good = ["--expect", '{"status":"success"'];
  const own = await loadgen(...freshet, ...good, "--body", body(',"unique":$UNIQUE'), ...read.values(ids));
  table.add("Freshet", own);
  const first = join(folder, "first");
  writeFileSync(first, read.quote === "" ? "0" : firstLine(ids));
  const cached = await loadgen(...freshet, ...good, "--body", body(""), "--values", first);
  table.add("Freshet, the same call again: a cache may answer", cached);
  return [base, own];
}

function firstLine(file: string): string {
  return readFileSync(file, "utf8").split("\n", 1)[0] ?? "";
}
