import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";

const other = createServer((request, response) => {
  if (request.url === "/never") {
    return;
  }
  if (request.url === "/redirect") {
    response.writeHead(302, { Location: "/landed" }).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    response.writeHead(200, { "X-Seen": String(request.headers["x-a"] ?? "") });
    response.end(request.url === "/landed" ? "landed" : Buffer.concat(chunks));
  });
});
await new Promise<void>((ready) => other.listen(0, "127.0.0.1", ready));
const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
const { server, calls } = await runApp("platform");

afterAll(() => {
  other.close();
  other.closeAllConnections();
});

describe("the platform that functions run on", () => {
  it("is complete in queries", async () => {
    expect(await calls.query("platform:inQuery")).toEqual([]);
  });

  it("is complete in mutations", async () => {
    expect(await calls.mutation("platform:inMutation")).toEqual([]);
  });

  it("is complete in actions", async () => {
    expect(await calls.action("platform:inAction")).toEqual([]);
  });

  it("refuses in queries and mutations what cannot be repeated", async () => {
    const refused = (feature: string): string =>
      `Can't use ${feature} in queries and mutations. Please consider using an action. See https://docs.convex.dev/functions/actions for more details.`;
    const expected = {
      fetch: refused("fetch()"),
      setTimeout: refused("setTimeout"),
      setInterval: refused("setInterval"),
      generateKey: refused("cryptographic randomness"),
    };
    expect(await calls.query("platform:refusedInQuery")).toEqual(expected);
    expect(await calls.mutation("platform:refusedInMutation")).toEqual(expected);
  });

  it("lets actions reach the world", async () => {
    expect(await calls.action("platform:onlyActions", { url })).toEqual({
      order: true,
      streamed: [200, "1", "stream"],
      posted: true,
      parsed: ["1", "x.txt", "a b"],
      aborted: "TimeoutError",
      redirected: [true, "landed"],
      scheme: "refused",
      crypto: [true, "data", true],
      moves: [true, true],
    });
  });
});

describe("host calls", () => {
  it("read and write documents", async () => {
    expect(await calls.mutation("host:documents")).toEqual({
      rows: [[4, "B"], [3, "a"]],
      filtered: 3,
      page: [1, false],
      streamed: [3],
      gone: null,
      kept: "B",
      ids: [true, null],
    });
  });

  it("call functions, make handles, schedule and cancel, from mutations", async () => {
    expect(await calls.mutation("host:calls")).toEqual({
      nested: { name: "host:inside", componentPath: "", type: "query", visibility: "internal" },
      same: true,
      job: "canceled",
      identity: null,
      address: "object",
    });
  });

  it("do so from actions", async () => {
    expect(await calls.action("host:actionCalls")).toEqual({
      nested: { name: "host:inside", componentPath: "", type: "query", visibility: "internal" },
      id: "string",
      kept: "kept",
      other: "host:actionMeta",
      viaHandle: "host:inside",
      identity: null,
    });
  });

  it("tell a function of itself, its transaction and its deployment", async () => {
    const meta = await calls.query<{ names: string[]; deployment: { name: string }; read: number }>("host:meta");
    expect(meta).toMatchObject({
      function: { name: "host:meta", componentPath: "", type: "query", visibility: "public" },
      deployment: { name: expect.any(String) as string, region: null, class: expect.stringMatching(/^[sd]\d+$/) as string },
      snapshot: true,
      read: expect.any(Number) as number,
      constant: 32_000,
    });
    expect(meta.names).toEqual(expect.arrayContaining([
      ...["bytesRead", "bytesWritten", "databaseQueries", "documentsRead", "documentsWritten", "functionsScheduled"],
      "scheduledFunctionArgsBytes",
    ]));
  });

  it("tell mutations, actions and HTTP actions of their request", async () => {
    const request = { ip: "127.0.0.1", requestId: expect.stringMatching(/^[\da-f]{16}$/) as string, scheduledFunctionId: null, authToken: null };
    expect(await calls.mutation("host:requestMeta")).toMatchObject(request);
    expect(await calls.action("host:actionMeta")).toMatchObject({ function: { name: "host:actionMeta", type: "action" }, request });
    const response = await fetch(`${server.siteUrl}/meta`);
    expect(await response.json()).toMatchObject({ request: { ...request, requestId: response.headers.get("convex-request-id") } });
  });

  it("that do not exist, or not here, say so", async () => {
    const texts = await calls.query<string[]>("host:unknownInQuery");
    expect(texts.slice(0, 3)).toEqual(["1.0/nonsense", "1.0/actions/query", "1.0/insert"].map((op) => `Unknown async operation ${op}`));
    expect(texts[3]).toBe("Unknown operation 1.0/get");
    expect(await calls.action("host:unknownInAction")).toEqual(["Unknown async operation 1.0/nonsense"]);
  });
});
