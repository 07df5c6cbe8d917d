/** Files as clients see them: uploads, addresses, downloads, deletion, and what functions do with them. */

import { makeFunctionReference } from "convex/server";
import { request } from "node:http";
import { connect, type Socket } from "node:net";
import { beforeAll, describe, expect, it } from "vitest";

import { pattern, sha256, storedFiles, upload } from "../src/files.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, FreshetServer, residentMegabytes, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const MISSING = "00000000-0000-4000-8000-000000000000";

const { server, calls } = await runApp("files", { args: ["--deleted-files-kept", "0"] });

/** The file's address. */
async function urlOf(id: string): Promise<string> {
  const url = await calls.query<string | null>("files:url", { id });
  if (url === null) {
    throw new Error(`file ${id} has no address`);
  }
  return url;
}

async function get(url: string, headers: Record<string, string> = {}, method = "GET"): Promise<{ status: number; headers: Headers; body: Buffer }> {
  const response = await fetch(url, { headers, method });
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
}

describe("a file", () => {
  it("is uploaded, kept in a document, shown to subscribers by its address, and downloaded", async () => {
    const client = new WatchedClient(server);
    let shown: (string | null)[] | undefined;
    client.onUpdate(makeFunctionReference<"query">("files:urls"), { name: "cat" }, (urls: (string | null)[]) => {
      shown = urls;
    });
    await eventually("the first result", () => (shown?.length === 0 ? true : undefined));
    const bytes = pattern(100_000);
    const id = await upload(calls, bytes, { "Content-Type": "image/png" });
    await client.mutation(makeFunctionReference<"mutation">("files:keep"), { name: "cat", file: id });
    expect(shown).toHaveLength(1);
    const url = shown?.[0] ?? "";
    expect(url).toMatch(new RegExp(`^${server.url}/api/storage/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`));
    const { status, headers, body } = await get(url, { Origin: "https://app.example" });
    expect(status).toBe(200);
    expect(body.equals(bytes)).toBe(true);
    expect(Object.fromEntries(headers)).toMatchObject({
      "content-type": "image/png",
      "content-length": "100000",
      digest: `sha-256=${sha256(bytes, "base64")}`,
      "cache-control": "private, max-age=2592000",
      "accept-ranges": "bytes",
      etag: `"${sha256(bytes, "hex")}"`,
      "access-control-allow-origin": "https://app.example",
      "access-control-allow-credentials": "true",
    });
    // The subscription depends on the file itself.
    await client.mutation(makeFunctionReference<"mutation">("files:remove"), { id });
    expect(shown).toEqual([null]);
    expect((await get(url)).status).toBe(404);
    await client.close();
  });

  it("is a row of `_storage`", async () => {
    const bytes = pattern(5);
    const before = (await calls.query<object[]>("files:rows")).length;
    const typed = await upload(calls, bytes, { "Content-Type": "text/plain; charset=utf-8" });
    const url = await calls.mutation<string>("files:uploadUrl");
    const bare = await new Promise<string>((resolve, reject) => {
      // `fetch` would add a type.
      const sent = request(url, { method: "POST" }, (response) => {
        response.on("data", (chunk: Buffer) => { resolve((JSON.parse(chunk.toString()) as { storageId: string }).storageId); });
      });
      sent.on("error", reject);
      sent.end(bytes);
    });
    expect(typed).toMatch(/^[a-z0-9]{32}$/);
    expect(await calls.query("files:row", { id: typed })).toEqual({
      _id: typed,
      _creationTime: expect.any(Number) as number,
      sha256: sha256(bytes, "base64"),
      size: 5,
      contentType: "text/plain; charset=utf-8",
    });
    expect(await calls.query("files:row", { id: bare })).toMatchObject({ contentType: null });
    expect((await get(await urlOf(bare))).headers.get("content-type")).toBeNull();
    expect(await calls.query<object[]>("files:rows")).toHaveLength(before + 2);
    const metadata = await calls.query<{ storageId: string }>("files:metadata", { id: typed });
    expect(metadata).toEqual({
      storageId: expect.stringMatching(/^[0-9a-f-]{36}$/) as string,
      sha256: sha256(bytes, "hex"),
      size: 5,
      contentType: "text/plain; charset=utf-8",
    });
    // Old apps name files by the UUID.
    expect(await calls.query("files:url", { id: metadata.storageId })).toBe(`${server.url}/api/storage/${metadata.storageId}`);
    expect(await calls.failure(calls.query("files:throughDb", { id: typed }))).toContain("System tables can only be accessed with db.system.");
  });

  it("is not there under a name that is not its own", async () => {
    for (const name of ["files:url", "files:metadata"]) {
      expect(await calls.query(name, { id: MISSING })).toBeNull();
    }
    const bad = await calls.failure(calls.query("files:url", { id: "x" }));
    expect(bad).toContain(
      "Invalid argument `storageId` for `storage.getUrl`: Invalid storage ID: \"x\". Storage ID should be an Id of '_storage' table, or a UUID string.",
    );
    const document = await calls.mutation<string>("files:keep", { name: "other", file: await upload(calls, "x") });
    expect(await calls.failure(calls.query("files:url", { id: document }))).toContain(
      "Invalid storage ID. Storage ID cannot be an ID on any table other than '_storage'.",
    );
    expect(await calls.failure(calls.mutation("files:remove", { id: MISSING }))).toContain(`storage id ${MISSING} not found`);
    expect(await calls.failure(calls.mutation("files:storeInMutation"))).toContain("Can't use storage.store() in queries and mutations.");
  });

  it("that a failed mutation deleted is still there", async () => {
    const id = await upload(calls, "still here");
    expect(await calls.failure(calls.mutation("files:removeAndFail", { id }))).toContain("gone for me: true");
    expect((await get(await urlOf(id))).body.toString()).toBe("still here");
    await calls.mutation("files:remove", { id });
    expect(await calls.failure(calls.mutation("files:remove", { id }))).toContain(`storage id ${id} not found`);
  });

  it("leaves the disk after it was deleted, while those who are reading it read to the end", async () => {
    const bytes = pattern(30 << 20);
    const id = await upload(calls, bytes);
    const url = await urlOf(id);
    const response = await fetch(url);
    const reader = response.body?.getReader();
    const first = await reader?.read();
    await calls.mutation("files:remove", { id });
    await eventually("the bytes to leave the disk", () => (storedFiles(server).some((file) => file.bytes === bytes.length) ? undefined : true));
    const pieces = [first?.value ?? new Uint8Array()];
    for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) {
      pieces.push(piece.value);
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    expect((await get(url)).status).toBe(404);
  });
});

/** Sends the head of an upload; the bytes are the caller's to send. */
async function beginUpload(bytes: number): Promise<{ socket: Socket; received: () => string }> {
  const { hostname, port, pathname, search } = new URL(await calls.mutation<string>("files:uploadUrl"));
  const socket = connect(Number(port), hostname);
  let received = "";
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString();
  });
  socket.on("error", () => undefined);
  socket.write(`POST ${pathname}${search} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes}\r\n\r\n`);
  return { socket, received: () => received };
}

describe("an upload", () => {
  it("is allowed from any page, and for nothing but the right token", async () => {
    const url = await calls.mutation<string>("files:uploadUrl");
    const preflight = await fetch(url, {
      method: "OPTIONS",
      headers: { Origin: "https://app.example", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type,digest" },
    });
    expect(Object.fromEntries(preflight.headers)).toMatchObject({
      "access-control-allow-origin": "https://app.example",
      "access-control-allow-headers": "content-type,digest",
      "access-control-allow-methods": "GET,POST,OPTIONS,PATCH,DELETE,PUT",
      "access-control-allow-credentials": "true",
      "access-control-max-age": "86400",
    });
    const refused = async (address: string): Promise<[number, unknown]> => {
      const response = await fetch(address, { method: "POST", body: "x", headers: { Origin: "https://app.example" } });
      expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    expect(await refused(`${server.url}/api/storage/upload`)).toEqual([401, "StorageTokenInvalid"]);
    expect(await refused(`${url.slice(0, -1)}${url.endsWith("A") ? "B" : "A"}`)).toEqual([401, "StorageTokenInvalid"]);
    const other = await FreshetServer.start();
    expect(await refused(url.replace(server.url, other.url))).toEqual([401, "StorageTokenInvalid"]);
    await other.stop();
    // Good for more than one file.
    for (const body of ["first", "second"]) {
      expect((await fetch(url, { method: "POST", body })).status).toBe(200);
    }
  });

  it("fails when the digest is another or no digest, and leaves nothing", async () => {
    const url = await calls.mutation<string>("files:uploadUrl");
    const before = storedFiles(server).length;
    const send = async (digest: string): Promise<[number, string | undefined]> => {
      const response = await fetch(url, { method: "POST", body: "bytes", headers: { Digest: digest } });
      return [response.status, ((await response.json()) as { code?: string }).code];
    };
    expect(await send(`sha-256=${sha256(Buffer.from("other"), "base64")}`)).toEqual([400, "Sha256Mismatch"]);
    expect(await send("sha-256=nonsense")).toEqual([400, "BadHeader"]);
    expect(await send("md5=abc")).toEqual([400, "BadHeader"]);
    expect(await send(`sha-256=${sha256(Buffer.from("bytes"), "base64")}`)).toEqual([200, undefined]);
    await eventually("the refused bytes to go", () => (storedFiles(server).length === before + 1 ? true : undefined));
  });

  it("may be empty", async () => {
    const id = await upload(calls, "");
    const { status, headers, body } = await get(await urlOf(id), { Range: "bytes=0-10" });
    expect([status, headers.get("content-length"), body.length]).toEqual([200, "0", 0]);
  });

  it("that is cut off leaves nothing behind", async () => {
    const before = storedFiles(server).length;
    const rows = (await calls.query<object[]>("files:rows")).length;
    const { socket } = await beginUpload(50_000_000);
    socket.write(pattern(5 << 20));
    await eventually("the bytes to arrive", () => (storedFiles(server).some(({ name, bytes }) => name.startsWith("incoming/") && bytes > 1 << 20) ? true : undefined));
    socket.destroy();
    await eventually("the bytes to go", () => (storedFiles(server).length === before ? true : undefined));
    expect(await calls.query<object[]>("files:rows")).toHaveLength(rows);
  });

  it("that trickles in is kept when it ends, and leaves nothing behind when it is cut off, while others come and go", { timeout: 60_000 }, async () => {
    const before = storedFiles(server).length;
    const rows = (await calls.query<object[]>("files:rows")).length;
    const bytes = pattern(60_000);
    const slow = await Promise.all([0, 1].map(() => beginUpload(bytes.length)));
    // Longer than several rounds of the collector, which must not take either for abandoned.
    const pieces = 60;
    for (let piece = 0; piece < pieces - 1; piece += 1) {
      for (const { socket } of slow) {
        socket.write(bytes.subarray((piece * bytes.length) / pieces, ((piece + 1) * bytes.length) / pieces));
      }
      await sleep(60);
      if (piece % 20 === 10) {
        await calls.mutation("files:remove", { id: await upload(calls, `passing by ${piece}`) });
      }
    }
    expect(storedFiles(server).filter(({ name }) => name.startsWith("incoming/"))).toHaveLength(2);
    const [ended, cut] = slow;
    cut?.socket.destroy();
    ended?.socket.write(bytes.subarray(((pieces - 1) * bytes.length) / pieces));
    const answer = await eventually("the answer", () => (ended?.received().includes("storageId") === true ? ended.received() : undefined));
    ended?.socket.destroy();
    const { storageId } = JSON.parse(answer.slice(answer.indexOf("{"), answer.lastIndexOf("}") + 1)) as { storageId: string };
    expect((await get(await urlOf(storageId))).body.equals(bytes)).toBe(true);
    await eventually("the bytes of the other to go", () => (storedFiles(server).length === before + 1 ? true : undefined));
    expect(await calls.query<object[]>("files:rows")).toHaveLength(rows + 1);
    await calls.mutation("files:remove", { id: storageId });
    await eventually("the bytes to go", () => (storedFiles(server).length === before ? true : undefined));
  });
});

describe("a download", () => {
  const bytes = pattern(1_000_000);
  let url: string;

  beforeAll(async () => {
    url = await urlOf(await upload(calls, bytes, { "Content-Type": "video/mp4" }));
  });

  it("of one range is that range", async () => {
    for (const [range, from, to] of [
      ["bytes=0-99", 0, 100],
      ["bytes=999000-", 999_000, 1_000_000],
      ["bytes=-10", 999_990, 1_000_000],
      ["bytes=100000-899999", 100_000, 900_000],
      ["bytes=500000-9999999", 500_000, 1_000_000],
      ["bytes=-2000000", 0, 1_000_000],
    ] as const) {
      const { status, headers, body } = await get(url, { Range: range });
      expect([status, headers.get("content-range"), headers.get("content-length")], range).toEqual([
        206,
        `bytes ${from}-${to - 1}/1000000`,
        String(to - from),
      ]);
      expect(headers.get("digest")).toBeNull();
      expect(headers.get("content-type")).toBe("video/mp4");
      expect(headers.get("cache-control")).toBe("private, max-age=2592000");
      expect(body.equals(bytes.subarray(from, to)), range).toBe(true);
    }
  });

  it("of several ranges, or of none that exists, is 416", async () => {
    for (const range of ["bytes=0-1,5-6", "bytes=1000000-", "bytes=-0"]) {
      const { status, body, headers } = await get(url, { Range: range });
      expect([status, body.length, headers.get("content-range")], range).toEqual([416, 0, "bytes */1000000"]);
    }
  });

  it("is spared when the client has the file", async () => {
    const etag = (await get(url, {}, "HEAD")).headers.get("etag") ?? "";
    const known = await get(url, { "If-None-Match": etag });
    expect([known.status, known.body.length, known.headers.get("etag")]).toEqual([304, 0, etag]);
    expect((await get(url, { "If-Range": etag, Range: "bytes=0-9" })).status).toBe(206);
    expect((await get(url, { "If-Range": '"another"', Range: "bytes=0-9" })).status).toBe(200);
  });

  it("by HEAD has the head alone", async () => {
    const { status, headers, body } = await get(url, {}, "HEAD");
    expect([status, headers.get("content-length"), headers.get("content-type"), body.length]).toEqual([200, "1000000", "video/mp4", 0]);
  });

  it("of nothing says so", async () => {
    const missing = await get(`${server.url}/api/storage/${MISSING}`);
    expect([missing.status, JSON.parse(missing.body.toString())]).toEqual([404, { code: "FileNotFound", message: `File ${MISSING} not found` }]);
    const malformed = await get(`${server.url}/api/storage/nonsense`);
    expect([malformed.status, (JSON.parse(malformed.body.toString()) as { code: string }).code]).toEqual([400, "InvalidStoragePath"]);
    expect((await get(`${url}?component=abc`)).status).toBe(404);
    expect((await fetch(url, { method: "DELETE" })).status).toBe(405);
  });
});

describe.each(["actions", "node"])("actions of %s.ts", (module) => {
  it("store and read 20 MB", { timeout: 60_000 }, async () => {
    const size = 20_000_001;
    const bytes = pattern(size);
    const id = await calls.action<string>(`${module}:storePattern`, { bytes: size, type: "Application/Octet-Stream", sha256: sha256(bytes, "base64") });
    expect(await calls.action(`${module}:loadAndSum`, { id })).toEqual({
      size,
      type: "application/octet-stream",
      sha256: sha256(bytes, "hex"),
      isBlob: true,
    });
    expect((await get(await urlOf(id))).body.equals(bytes)).toBe(true);
    expect(await calls.action(`${module}:storePattern`, { bytes: 0 })).toMatch(/^[a-z0-9]{32}$/);
  });

  it("do everything else", async () => {
    const life = await calls.action<{ texts: string[]; address: string; uploadTo: string; gone: string | null; known: object; id: string }>(
      `${module}:lifeInAction`,
      { text: "note" },
    );
    expect(life.texts).toEqual(Array.from({ length: 20 }, (_, n) => `note ${n}`));
    expect((await get(life.address)).body.toString()).toBe("note 0");
    expect(life.known).toMatchObject({ size: 6, contentType: null });
    expect((await fetch(life.uploadTo, { method: "POST", body: "x" })).status).toBe(200);
    expect(life.gone).toBeNull();
  });

  it("can catch what goes wrong", async () => {
    expect(await calls.action(`${module}:failures`)).toEqual({
      notABlob: expect.stringMatching(/^true store\(\) expects a Blob/) as string,
      wrongDigest: expect.stringMatching(/^true Sha256Mismatch: /) as string,
      noDigest: expect.stringContaining("base64 text of a SHA-256 digest") as string,
      badId: expect.stringContaining("for `storage.get`: Invalid storage ID: \"x\"") as string,
      absent: expect.stringMatching(/^true storage id [0-9a-f-]+ not found/) as string,
      unknown: true,
    });
  });
});

describe("actions over HTTP", () => {
  it("store what they receive and send what is stored", async () => {
    const bytes = pattern(3_000_000);
    const stored = await fetch(`${server.siteUrl}/send`, { method: "POST", body: bytes, headers: { "Content-Type": "image/webp" } });
    const { id } = (await stored.json()) as { id: string };
    const fetched = await fetch(`${server.siteUrl}/fetch?id=${id}`);
    expect(fetched.headers.get("content-type")).toBe("image/webp");
    expect(Buffer.from(await fetched.arrayBuffer()).equals(bytes)).toBe(true);
  });

  it("forget what they do not wait for, and say so", async () => {
    const answer = await fetch(`${server.url}/api/action`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "actions:forgetful", args: {}, format: "json" }),
    });
    const { value, logLines } = (await answer.json()) as { value: string; logLines: string[] };
    expect(value).toBe("early");
    expect(logLines.join("\n")).toContain("1 unawaited operation: [storage.store].");
  });
});

describe("memory", () => {
  it("stays constant while 300 MB are uploaded and downloaded", { timeout: 120_000 }, async () => {
    const chunk = pattern(1 << 20);
    const megabytes = 300;
    const before = residentMegabytes(server.enginePid());
    let most = before;
    const watch = setInterval(() => {
      most = Math.max(most, residentMegabytes(server.enginePid()));
    }, 50);
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        if (sent === megabytes) {
          controller.close();
        } else {
          sent += 1;
          controller.enqueue(chunk);
        }
      },
    });
    const url = await calls.mutation<string>("files:uploadUrl");
    const response = await fetch(url, { method: "POST", body, duplex: "half" } as RequestInit);
    const { storageId } = (await response.json()) as { storageId: string };
    let received = 0;
    for await (const piece of (await fetch(await urlOf(storageId))).body ?? []) {
      received += piece.length;
    }
    clearInterval(watch);
    await calls.mutation("files:remove", { id: storageId });
    expect(received).toBe(megabytes << 20);
    console.log(`resident memory of the engine: ${before.toFixed(0)} MiB before, at most ${most.toFixed(0)} MiB during`);
    expect(most - before).toBeLessThan(100);
  });
});
