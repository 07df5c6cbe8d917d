/**
 * Files: uploads and downloads of one large file, and the time that small ones take, next to nginx with the same files on the
 * same disk, in alternating rounds. nginx sends with `sendfile` and stores without `fsync`; Freshet digests what it stores and
 * answers when file and row are durable. So there is a floor for that, too: writing the same bytes to a file, with `fsync`.
 */

import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { TestApp } from "../../tests/src/app.ts";
import { Calls } from "../../tests/src/calls.ts";
import { FreshetServer } from "../../tests/src/server.ts";
import { findNginx, Nginx } from "./nginx.ts";
import { Options } from "./options.ts";
import { processorTimeUs } from "./processor.ts";
import { printTable, type Row } from "./report.ts";

const USAGE = `cargo xtask bench files [options]

  --megabytes N     size of the large file [256]
  --rounds N        uploads and downloads of the large file [5]
  --small-bytes N   size of small files [10000]
  --small N         downloads of a small file; a quarter as many uploads [8000]
  --connections N   for small files [16]`;

const options = new Options(USAGE, { megabytes: "256", rounds: "5", "small-bytes": "10000", small: "8000", connections: "16" });
const rounds = options.number("rounds");
const connections = options.number("connections");
const large = Buffer.alloc(options.number("megabytes") << 20, "freshet ");
const small = Buffer.alloc(options.number("small-bytes"), "freshet ");
const agent = new Agent({ keepAlive: true, maxSockets: connections });

/** One request to its end; the number of bytes in the answer, and the answer to an upload. */
async function exchange(method: string, url: string, body?: Buffer): Promise<{ bytes: number; text: string }> {
  return await new Promise((resolve, reject) => {
    const sent = request(url, { method, agent, headers: body === undefined ? {} : { "Content-Length": body.length } }, (response) => {
      let bytes = 0;
      let text = "";
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (body !== undefined) {
          text += chunk.toString();
        }
      });
      response.on("error", reject);
      response.on("end", () => {
        if ((response.statusCode ?? 500) >= 300) {
          reject(new Error(`${method} ${url}: ${response.statusCode} ${text}`));
        } else {
          resolve({ bytes, text });
        }
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Repeats `work` on all connections; the time that each took. */
async function repeated(times: number, work: (n: number) => Promise<unknown>): Promise<{ samples: number[]; perSecond: number }> {
  const samples: number[] = [];
  let next = 0;
  const start = performance.now();
  const worker = async (): Promise<void> => {
    while (next < times) {
      const n = next;
      next += 1;
      samples.push(await timed(() => work(n)));
    }
  };
  await Promise.all(Array.from({ length: connections }, worker));
  return { samples, perSecond: (times / (performance.now() - start)) * 1000 };
}

interface Place {
  name: string;
  pid: number;
  upload: (bytes: Buffer, name: string) => Promise<string>;
}

const program = findNginx();
const folder = mkdtempSync(join(tmpdir(), "freshet-bench-files-"));
const server = await FreshetServer.start({ dataDir: join(folder, "data"), args: ["--deleted-files-kept", "0"] });
const app = new TestApp(server, "files");
let nginx: Nginx | undefined;
try {
  await app.push();
  const calls = new Calls(server);
  const uploadUrl = await calls.mutation<string>("files:uploadUrl");
  const freshet: Place = {
    name: "Freshet",
    pid: server.enginePid(),
    upload: async (bytes) => {
      const { storageId } = JSON.parse((await exchange("POST", uploadUrl, bytes)).text) as { storageId: string };
      return storageId;
    },
  };
  const places = [freshet];
  if (program !== undefined) {
    const started = await Nginx.start(program, folder);
    nginx = started;
    places.unshift({
      name: "nginx",
      pid: started.pid,
      upload: async (bytes, name) => {
        const url = `${started.url}/${name}`;
        await exchange("PUT", url, bytes);
        return url;
      },
    });
  }

  const address = async (place: Place, stored: string): Promise<string> => (place === freshet ? await calls.query<string>("files:url", { id: stored }) : stored);
  const rows = new Map<string, Row>();
  const add = (name: string, unit: string, ...samples: number[]): void => {
    const row = rows.get(name) ?? { name, unit, samples: [] };
    row.samples.push(...samples);
    rows.set(name, row);
  };
  const show = (title: string, ...names: string[]): void => {
    printTable(title, names.flatMap((name) => rows.get(name) ?? []));
  };
  const processor: string[] = [];

  for (let round = 0; round < rounds; round += 1) {
    add("write and fsync a file", "ms", writeDurably(join(folder, "floor"), large));
    for (const place of places) {
      const before = processorTimeUs(place.pid);
      let stored = "";
      add(`${place.name}: upload`, "ms", await timed(async () => { stored = await place.upload(large, "large"); }));
      const between = processorTimeUs(place.pid);
      const url = await address(place, stored);
      add(`${place.name}: download`, "ms", await timed(async () => {
        const { bytes } = await exchange("GET", url);
        if (bytes !== large.length) {
          throw new Error(`${bytes} bytes instead of ${large.length}`);
        }
      }));
      const after = processorTimeUs(place.pid);
      processor.push(`${place.name}: ${((between - before) / 1e6).toFixed(2)} s up, ${((after - between) / 1e6).toFixed(2)} s down`);
      if (place === freshet) {
        await calls.mutation("files:remove", { id: stored });
      }
    }
  }
  const size = `${options.number("megabytes")} MB`;
  show(`Upload of ${size}`, "nginx: upload", "write and fsync a file", "Freshet: upload");
  show(`Download of ${size}`, "nginx: download", "Freshet: download");
  console.log(`Processor time of the last round: ${processor.slice(-places.length).join("; ")}`);

  const downloads = options.number("small");
  const rates: string[] = [];
  for (const place of places) {
    const up = await repeated(downloads / 4, async (n) => await place.upload(small, `small-${n}`));
    add(`${place.name}: upload of a small file`, "ms", ...up.samples);
    const url = await address(place, await place.upload(small, "small"));
    await repeated(downloads / 8, async () => await exchange("GET", url));
    const down = await repeated(downloads, async () => await exchange("GET", url));
    add(`${place.name}: download of a small file`, "ms", ...down.samples);
    rates.push(`${place.name}: ${up.perSecond.toFixed(0)} uploads/s, ${down.perSecond.toFixed(0)} downloads/s`);
  }
  const floor = Array.from({ length: downloads / 4 }, (_, n) => writeDurably(join(folder, `floor-${n % 16}`), small));
  add("write and fsync a small file, one at a time", "ms", ...floor);
  show(`Upload of ${small.length} bytes, ${connections} connections`, "nginx: upload of a small file", "write and fsync a small file, one at a time", "Freshet: upload of a small file");
  show(`Download of ${small.length} bytes, ${connections} connections`, "nginx: download of a small file", "Freshet: download of a small file");
  console.log(rates.join("; "));
} finally {
  await nginx?.stop();
  app.delete();
  await server.stop();
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}

function writeDurably(path: string, bytes: Buffer): number {
  const start = performance.now();
  const file = openSync(path, "w");
  for (let offset = 0; offset < bytes.length; offset += 1 << 20) {
    writeSync(file, bytes, offset, Math.min(1 << 20, bytes.length - offset));
  }
  fsyncSync(file);
  closeSync(file);
  return performance.now() - start;
}
