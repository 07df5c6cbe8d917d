/**
 * A disk that fills up while the server runs, a limit on the size of its files, and a disk that cannot be written at all.
 *
 * For the disks the server gets a small file system of its own, in a mount namespace that ends with it. Where that is not
 * allowed, the test says so, and the limit alone is tested.
 */

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { eventually, FreshetServer, freshetBinary } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const DISK_MEGABYTES = 24;
/** Size of one message: a few of them are more than what is left of a disk that is nearly full. */
const BODY = "x".repeat(100_000);

/** Runs its last arguments as the server, on a disk of its own that holds what the directory $1 held. */
const ON_A_SMALL_DISK = `
set -e
data=$1; shift
mkdir "$data.outside"; cp -a "$data/." "$data.outside/"
mount -t tmpfs -o size=${DISK_MEGABYTES}m tmpfs "$data"
cp -a "$data.outside/." "$data/"; rm -r "$data.outside"
exec "$@"`;

/** The same, and then the disk is made read-only. */
const ON_A_READ_ONLY_DISK = ON_A_SMALL_DISK.replace('exec "$@"', 'mount -o remount,ro "$data"; exec "$@"');

const UNSHARE = process.getuid?.() === 0 ? ["unshare", "-m"] : ["unshare", "-rm"];
const canMount = spawnSync("unshare", [...UNSHARE.slice(1), "mount", "-t", "tmpfs", "tmpfs", tmpdir()]).status === 0;
if (!canMount) {
  console.warn(
    "!!! No file systems can be mounted here: a full disk and a read-only one are NOT TESTED, only a limit on the size of " +
      "files (prlimit --fsize) is.",
  );
}

/** What fills and empties the server's disk. */
interface Disk {
  fill: () => void;
  free: () => void;
}

function smallDisk(server: FreshetServer): Disk {
  // The server's own view of the directory.
  const filler = join("/proc", String(server.pid), "root", server.dataDir, "filler");
  return {
    fill: () => {
      const full = spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k"], { encoding: "utf8" });
      expect(full.stderr).toContain("No space left on device");
    },
    free: () => {
      rmSync(filler);
    },
  };
}

function limitedFiles(server: FreshetServer): Disk {
  const limit = (bytes: string): void => {
    const { status, stderr } = spawnSync("prlimit", ["--pid", String(server.enginePid()), `--fsize=${bytes}`], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
  };
  return {
    // The soft limit only: the hard one could not be raised again.
    fill: () => {
      limit("600000:");
    },
    free: () => {
      limit("unlimited:");
    },
  };
}

/** Ways to make writes impossible for a while, and what the server says then. */
const WAYS = [
  { name: "a disk that is full", possible: canMount, mount: true, of: smallDisk },
  { name: "a limit on the size of files", possible: true, mount: false, of: limitedFiles },
];

describe.each(WAYS.filter((way) => way.possible))("$name", ({ mount, of }) => {
  let dataDir: string;
  let server: FreshetServer;
  let app: TestApp;
  let disk: Disk;

  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), "freshet-disk-"));
    server = await FreshetServer.start({ dataDir, ...(mount ? { wrapper: [...UNSHARE, "sh", "-c", ON_A_SMALL_DISK, "sh", dataDir] } : {}) });
    disk = of(server);
    app = new TestApp(server, "basic");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("is what mutations fail with, while queries and subscriptions go on, until there is room again", { timeout: 180_000 }, async () => {
    const client = new WatchedClient(server);
    let shown = -1;
    client.onUpdate(api.messages.byAuthor, { author: "ann" }, (messages) => {
      shown = messages.length;
    });
    const acknowledged: string[] = [];
    /** Sends one message; returns why it could not be stored, if so. */
    const send = async (body: string): Promise<string | undefined> => {
      try {
        acknowledged.push(await client.mutation(api.messages.send, { author: "ann", body }));
        return undefined;
      } catch (error) {
        return String(error);
      }
    };
    for (let n = 0; n < 5; n += 1) {
      expect(await send(`small ${n}`)).toBeUndefined();
    }

    disk.fill();
    let refusal: string | undefined;
    for (let n = 0; n < 300 && refusal === undefined; n += 1) {
      refusal = await send(BODY);
    }
    expect(refusal).toMatch(/the disk is full .*free some space, and writes resume by themselves/);
    // It stays so, and one failure does not take others along.
    expect(await send(BODY)).toContain("the database takes no writes for now: ");
    expect((await client.query(api.messages.byAuthor, { author: "ann" })).length).toBe(acknowledged.length);
    await eventually("the subscription to show what is stored", () => (shown === acknowledged.length ? true : undefined));
    const other = new WatchedClient(server);
    expect((await other.query(api.messages.byAuthor, { author: "ann" })).map((message) => message._id)).toEqual(acknowledged);
    await other.close();
    const answer = await fetch(`${server.url}/api/mutation`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "messages:send", args: { author: "ann", body: BODY }, format: "json" }),
    });
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("DatabaseReadOnly")]);
    const ready = await fetch(`${server.url}/ready`);
    expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("takes no writes for now")]);

    disk.free();
    await eventually("a mutation to succeed", async () => ((await send("after")) === undefined ? true : undefined), 30_000);
    for (let n = 0; n < 5; n += 1) {
      expect(await send(BODY)).toBeUndefined();
    }
    await eventually("the subscription to go on", () => (shown === acknowledged.length ? true : undefined));
    expect((await fetch(`${server.url}/ready`)).status).toBe(200);

    server.killEngine();
    const stored = await client.query(api.messages.byAuthor, { author: "ann" });
    expect(stored.map((message) => message._id)).toEqual(acknowledged);
    await client.close();
    expect(server.output).toContain("commits cannot be stored; the database takes no writes for now");
    expect(server.output).toContain("commits can be stored again; the database takes writes");
  });
});

describe.runIf(canMount)("a data directory on a read-only disk", () => {
  it("is refused with the reason, and with the exit code that asks for no restart", () => {
    const data = mkdtempSync(join(tmpdir(), "freshet-disk-"));
    const run = (script: string, ...command: string[]): { status: number | null; output: string } => {
      const args = [...UNSHARE.slice(1), "sh", "-c", script, "sh", data, ...command];
      const { status, stdout, stderr } = spawnSync("unshare", args, { encoding: "utf8", timeout: 30_000 });
      return { status, output: stdout + stderr };
    };
    const serve = ["serve", "--data", data, "--host", "127.0.0.1", "--port", "0", "--site-port", "0"];
    writeFileSync(join(data, "marker"), "");
    const { status, output } = run(ON_A_READ_ONLY_DISK, freshetBinary(), ...serve);
    expect(output).toMatch(/[Rr]ead-only file system/);
    expect(output).toContain(data);
    expect(status).not.toBe(0);
    // What was mounted is gone with the process.
    expect(readdirSync(data)).toEqual(["marker"]);
    expect(existsSync(`${data}.outside`)).toBe(false);
    rmSync(data, { recursive: true });
  });
});
