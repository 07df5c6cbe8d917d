import { ConvexHttpClient } from "convex/browser";
import { WebSocket } from "ws";
import { describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";

import { runApp } from "../src/running-app.ts";

const { server } = await runApp("basic");

/** Sends frames to a new socket and collects what comes back until it closes or `ms` have passed. */
async function converse(frames: (string | Uint8Array)[], ms = 1_500): Promise<{ received: string[]; code: number | undefined; reason: string }> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/api/1.48.0/sync`);
  const received: string[] = [];
  let code: number | undefined;
  let reason = "";
  socket.on("message", (data: Buffer) => received.push(data.toString()));
  const closed = new Promise<void>((resolve) => {
    socket.on("close", (closeCode, closeReason) => {
      code = closeCode;
      reason = closeReason.toString();
      resolve();
    });
    socket.on("error", () => undefined);
  });
  await new Promise((resolve) => socket.once("open", resolve));
  for (const frame of frames) {
    socket.send(frame);
  }
  await Promise.race([closed, new Promise((resolve) => setTimeout(resolve, ms))]);
  socket.terminate();
  return { received, code, reason };
}

async function post(path: string, body: string, headers: Record<string, string> = {}): Promise<{ status: number; json: { code?: string; message?: string; status?: string; errorMessage?: string } }> {
  const response = await fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body,
  });
  return { status: response.status, json: (await response.json()) as { code?: string; message?: string } };
}

describe("malformed frames", () => {
  const CONNECT = '{"type":"Connect","sessionId":"2f1c9a54-6f0e-4b7d-9a3e-5d1c0b8e7f21","connectionCount":0,"lastCloseReason":"InitialConnect","clientTs":0}';

  for (const [name, frame] of [
    ["no JSON", "hello"],
    ["a JSON scalar", "5"],
    ["an unknown type", '{"type":"Nope"}'],
    ["a missing field", '{"type":"Mutation","requestId":0}'],
    ["a bad session id", '{"type":"Connect","sessionId":"x","connectionCount":0}'],
    ["a negative version", '{"type":"ModifyQuerySet","baseVersion":-1,"newVersion":0,"modifications":[]}'],
  ] as const) {
    it(`answers ${name} and closes`, async () => {
      const { received, code } = await converse([frame]);
      expect(code).toBeDefined();
      expect(received.some((text) => text.includes('"FatalError"')) || code === 1011 || code === 1005).toBe(true);
    });
  }

  it("closes on a binary frame", async () => {
    expect((await converse([new Uint8Array([1, 2, 3])])).code).toBeDefined();
  });

  it("closes on a wrong base version, so that the client starts over", async () => {
    const { code, reason } = await converse([CONNECT, '{"type":"ModifyQuerySet","baseVersion":3,"newVersion":4,"modifications":[]}']);
    expect([code, reason]).toEqual([1011, "InternalServerError"]);
  });

  it("fails only the request whose path is malformed", async () => {
    const { received, code } = await converse([CONNECT, '{"type":"Mutation","requestId":0,"udfPath":"../../etc:passwd","args":[{}]}']);
    expect(code).toBeUndefined();
    expect(received.find((text) => text.includes('"MutationResponse"'))).toContain('"success":false');
  });

  it("fails only the request whose arguments hold half a character", async () => {
    const { received, code } = await converse([CONNECT, '{"type":"Mutation","requestId":0,"udfPath":"misc:store","args":[{"value":"\\ud800"}]}']);
    expect(code).toBeUndefined();
    expect(received.find((text) => text.includes('"MutationResponse"'))).toContain('"success":false');
  });

  it("survives deeply nested arguments", async () => {
    const nested = "[".repeat(100_000) + "]".repeat(100_000);
    await converse([CONNECT, `{"type":"Mutation","requestId":0,"udfPath":"misc:store","args":[{"value":${nested}}]}`]);
    await server.answering();
  });

  it("rejects user tokens while no provider is configured", async () => {
    const { received, code } = await converse([CONNECT, '{"type":"Authenticate","baseVersion":0,"tokenType":"User","value":"a.b.c"}']);
    expect(received.find((text) => text.includes('"AuthError"'))).toContain('"authUpdateAttempted":true');
    expect(code).toBe(1005);
  });

  it("rejects a wrong admin key", async () => {
    const { received } = await converse([CONNECT, '{"type":"Authenticate","baseVersion":0,"tokenType":"Admin","value":"freshet|00"}']);
    expect(received.some((text) => text.includes('"AuthError"'))).toBe(true);
  });
});

describe("bad requests over HTTP", () => {
  it("names what is wrong with the body", async () => {
    for (const body of ["", "{", "[]", '{"path":5}', '{"args":{}}']) {
      const { status, json } = await post("/api/query", body);
      expect([status, json.code], body).toEqual([400, "BadJsonBody"]);
    }
  });

  it("refuses a body over the limit without reading on", async () => {
    const { status, json } = await post("/api/query", JSON.stringify({ path: "misc:echo", args: { value: "x".repeat(17 * 1024 * 1024) } }));
    expect([400, 413]).toContain(status);
    expect(json.message).toBeTruthy();
  });

  it("knows no function by a malformed path", async () => {
    for (const path of ["", "a b", "../x:y", "m:1f", "x".repeat(100)]) {
      const { status, json } = await post("/api/query", JSON.stringify({ path, args: {} }));
      expect(status === 400 ? json.code : json.status, path).toMatch(/BadConvexFunctionIdentifier|error/);
    }
  });

  it("keeps internal and system functions from strangers", async () => {
    const internal = await post("/api/query", '{"path":"misc:secret","args":{}}');
    expect(internal.json.errorMessage).toContain("Could not find public function for 'misc:secret'.");
    const system = await post("/api/query", '{"path":"_system/cli/tables","args":{"paginationOpts":{"cursor":null,"numItems":10}}}');
    expect(system.status).toBe(403);
    expect((await post("/api/function", '{"path":"misc:secret","args":{}}')).json.code).toBe("BadDeployKey");
  });

  it("refuses values that are none", async () => {
    for (const value of ['{"$integer":"AA=="}', '{"$weird":1}', '"\\ud800"', '{"$float":"AAAAAAAA8D8="}']) {
      const { status, json } = await post("/api/query", `{"path":"misc:echo","args":{"value":${value}}}`);
      expect(status !== 200 || json.status === "error", value).toBe(true);
    }
  });

  it("answers unknown routes with 404 and planned ones with a text", async () => {
    expect((await fetch(`${server.url}/api/nothing`)).status).toBe(404);
  });

  it("goes on serving", async () => {
    const client = new ConvexHttpClient(server.url, { logger: false });
    expect(await client.query(api.misc.echo, { value: "fine" })).toBe("fine");
  });
});
