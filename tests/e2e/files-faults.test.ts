/** Files when something goes wrong at the server: it is killed at a bad moment, or its disk is full. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

import { describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls } from "../src/calls.ts";
import { pattern, storedFiles, upload } from "../src/files.ts";
import { eventually, FreshetServer, sleep } from "../src/server.ts";

const MEGABYTE = pattern(1 << 20);

/** Starts an upload of which `sent` megabytes are sent and more are announced. */
async function beginUpload(calls: Calls, sent: number): Promise<Socket> {
  const url = new URL(await calls.mutation<string>("files:uploadUrl"));
  const socket = connect(Number(url.port), url.hostname);
  socket.on("error", () => undefined);
  socket.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${(sent + 1) << 20}\r\n\r\n`);
  for (let n = 0; n < sent; n += 1) {
    socket.write(MEGABYTE);
  }
  return socket;
}

describe("a server that is killed", () => {
  it("during uploads keeps what was acknowledged, and nothing else", { timeout: 120_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "freshet-files-"));
    const start = async (env: Record<string, string> = {}): Promise<FreshetServer> =>
      await FreshetServer.start({ dataDir, env, args: ["--deleted-files-kept", "0"] });
    let server = await start();
    const app = new TestApp(server, "files");
    await app.push();
    let calls = new Calls(server);
    const kept = await upload(calls, MEGABYTE);
    const half = await beginUpload(calls, 5);
    await eventually("half a file", () => (storedFiles(server).some(({ name, bytes }) => name.startsWith("incoming/") && bytes >= 4 << 20) ? true : undefined));
    await killAll(server);
    half.destroy();

    // Once more, between the bytes and the row.
    server = await start();
    calls = new Calls(server);
    await eventually("the half to be gone", () => (storedFiles(server).length === 1 ? true : undefined));
    await publishWithoutRow(server, calls);
    expect(storedFiles(server)).toHaveLength(2);
    await killAll(server);
    expect(storedFiles(server)).toHaveLength(2);

    server = await start();
    calls = new Calls(server);
    await eventually("bytes without a row to be gone", () => (storedFiles(server).length === 1 ? true : undefined), 30_000);
    expect(await calls.query<object[]>("files:rows")).toHaveLength(1);
    const address = await calls.query<string>("files:url", { id: kept });
    expect(Buffer.from(await (await fetch(address)).arrayBuffer()).equals(MEGABYTE)).toBe(true);
    app.delete();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
});

/** Brings a small file as far as its bytes being durable, and lets the commit of its row fail. */
async function publishWithoutRow(server: FreshetServer, calls: Calls): Promise<void> {
  const limitFiles = (bytes: string): void => {
    const { status, stderr } = spawnSync("prlimit", ["--pid", String(server.enginePid()), `--fsize=${bytes}`], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
  };
  for (let attempt = 0; ; attempt += 1) {
    const url = new URL(await calls.mutation<string>("files:uploadUrl"));
    const socket = connect(Number(url.port), url.hostname);
    let answer = "";
    socket.on("data", (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on("error", () => undefined);
    socket.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n${"a".repeat(999)}`);
    await eventually("the upload to begin", () => (storedFiles(server).some(({ name }) => name.startsWith("incoming/")) ? true : undefined));
    // Time for the claim on the file to become durable; nothing shows that from outside.
    await sleep(500 * (attempt + 1));
    // From here on the database cannot write a page, while the file still fits.
    limitFiles("4096:");
    socket.write("a");
    await eventually("a refusal", () => (answer.includes("\r\n\r\n") ? true : undefined));
    expect(answer).toMatch(/^HTTP\/1.1 503 /);
    expect(answer).toContain("DatabaseReadOnly");
    socket.destroy();
    if (storedFiles(server).some(({ name, bytes }) => !name.startsWith("incoming/") && bytes === 1000)) {
      return;
    }
    // The claim was too late.
    expect(attempt).toBeLessThan(5);
    limitFiles("unlimited:");
    await eventually("a mutation to succeed", async () => await calls.mutation("files:uploadUrl").catch(() => undefined), 30_000);
  }
}

/** Kills the supervisor and its engine, and waits until both are gone. */
async function killAll(server: FreshetServer): Promise<void> {
  const engine = server.enginePid();
  process.kill(server.pid, "SIGSTOP");
  process.kill(engine, "SIGKILL");
  await server.stop("SIGKILL");
}

const UNSHARE = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-rm"];
const canMount = spawnSync("unshare", [...UNSHARE.slice(1), "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;
if (!canMount) {
  console.warn("!!! No file systems can be mounted here: uploads to a full disk are NOT TESTED.");
}

describe.runIf(canMount)("a full disk", () => {
  it("refuses uploads with what to do, keeps nothing of them, and takes the next one when there is room", { timeout: 120_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "freshet-files-"));
    const script = 'set -e; data=$1; shift; mkdir "$data.outside"; cp -a "$data/." "$data.outside/"; mount -t tmpfs -o size=32m tmpfs "$data"; cp -a "$data.outside/." "$data/"; rm -r "$data.outside"; exec "$@"';
    const server = await FreshetServer.start({ dataDir, wrapper: [...UNSHARE, "sh", "-c", script, "sh", dataDir], args: ["--deleted-files-kept", "0"] });
    const seen = { dataDir: join("/proc", String(server.pid), "root", dataDir) };
    const app = new TestApp(server, "files");
    await app.push();
    const calls = new Calls(server);
    const before = await upload(calls, MEGABYTE);
    const url = await calls.mutation<string>("files:uploadUrl");
    const response = await fetch(url, { method: "POST", body: pattern(40 << 20) });
    expect([response.status, await response.json()]).toEqual([
      503,
      { code: "FileStorageFull", message: expect.stringMatching(/no room for more files: .*Free some space/) as string },
    ]);
    await eventually("the refused bytes to go", () => (storedFiles(seen).length === 1 ? true : undefined));
    // If anything was written in that moment, the database has met the full disk as well, and looks again every now and then.
    await eventually("the database to take writes", () => calls.mutation<string>("files:uploadUrl").catch(() => undefined));
    const after = await upload(calls, MEGABYTE);
    expect(await calls.query<{ _id: string }[]>("files:rows")).toEqual([expect.objectContaining({ _id: before }), expect.objectContaining({ _id: after })]);
    app.delete();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
});
