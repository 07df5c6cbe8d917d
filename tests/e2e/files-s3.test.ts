/** Files in a bucket, with a server that stands in for S3. */

import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls } from "../src/calls.ts";
import { pattern, sha256, storedFiles, upload } from "../src/files.ts";
import { Moto } from "../src/moto.ts";
import { eventually, FreshetServer } from "../src/server.ts";
import { installed } from "../src/tools.ts";

const program = installed("python/bin/moto_server", "files in S3 are");

const BUCKET = "files";

describe.runIf(program !== undefined)("files in S3", () => {
  let moto: Moto;
  let dataDir: string;
  let server: FreshetServer;
  let app: TestApp;
  let calls: Calls;

  async function start(): Promise<void> {
    server = await FreshetServer.start({ dataDir, env: moto.env, args: ["--storage", `s3://${BUCKET}/some/place`, "--deleted-files-kept", "0"] });
    calls = new Calls(server);
  }

  beforeAll(async () => {
    moto = await Moto.start(program ?? "");
    await moto.makeBucket(BUCKET);
    dataDir = mkdtempSync(join(tmpdir(), "freshet-s3-"));
    await start();
    app = new TestApp(server, "files");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
    await moto.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it("are stored, read in parts, and removed, whatever their size", { timeout: 120_000 }, async () => {
    // Exactly one part, a byte more, and several parts.
    for (const size of [0, 10, 8 << 20, (8 << 20) + 1, 20_000_000]) {
      const bytes = pattern(size);
      const id = await upload(calls, bytes, { "Content-Type": "text/csv", Digest: `sha-256=${sha256(bytes, "base64")}` });
      const url = await calls.query<string>("files:url", { id });
      expect((await moto.objects(BUCKET)).filter((key) => key.startsWith("some/place/"))).toHaveLength(1);
      const whole = await fetch(url);
      expect([whole.status, whole.headers.get("content-type")]).toEqual([200, "text/csv"]);
      expect(Buffer.from(await whole.arrayBuffer()).equals(bytes), `${size} bytes`).toBe(true);
      if (size > 0) {
        const part = await fetch(url, { headers: { Range: "bytes=-7" } });
        expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(-7))).toBe(true);
      }
      expect(await calls.action("actions:loadAndSum", { id })).toMatchObject({ size, sha256: sha256(bytes, "hex") });
      await calls.mutation("files:remove", { id });
      await eventually("the object to go", async () => ((await moto.objects(BUCKET)).length === 0 ? true : undefined));
    }
    expect(await moto.unfinished(BUCKET)).toBe(0);
    // Nothing of it was on the local disk.
    expect(storedFiles(server)).toEqual([]);
  });

  it("leave no parts behind when their upload is cut off, or the server is killed", { timeout: 120_000 }, async () => {
    const begin = async (): Promise<() => void> => {
      const url = new URL(await calls.mutation<string>("files:uploadUrl"));
      const socket = connect(Number(url.port), url.hostname);
      socket.on("error", () => undefined);
      socket.write(`POST ${url.pathname}${url.search} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n`);
      socket.write(pattern(20 << 20));
      await eventually("parts to be sent", async () => ((await moto.unfinished(BUCKET)) === 1 ? true : undefined));
      return () => { socket.destroy(); };
    };
    const cutOff = await begin();
    cutOff();
    await eventually("the parts to go", async () => ((await moto.unfinished(BUCKET)) === 0 ? true : undefined));

    const cutOffToo = await begin();
    const engine = server.enginePid();
    process.kill(server.pid, "SIGSTOP");
    process.kill(engine, "SIGKILL");
    await server.stop("SIGKILL");
    cutOffToo();
    expect(await moto.unfinished(BUCKET)).toBe(1);
    await start();
    await eventually("the parts to go", async () => ((await moto.unfinished(BUCKET)) === 0 ? true : undefined), 30_000);
    expect(await calls.query("files:rows")).toEqual([]);
  });
});
