/** Rules of the protocol and of the HTTP API that no client of ours happens to need, with frames and requests written by hand. */

import { WebSocket } from "ws";
import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";

type Frame = Record<string, unknown> & { type: string };

const { server } = await runApp("basic", {
  prepare: (app) => {
    app.write(
      "convex/addresses.ts",
      'import { query } from "./_generated/server";\nexport const both = query({ args: {}, handler: () => [process.env.CONVEX_CLOUD_URL, process.env.CONVEX_SITE_URL] });\n',
    );
  },
});

async function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<{ status: number; answer: Record<string, unknown> }> {
  const response = await fetch(`${server.url}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, answer: (text === "" ? {} : JSON.parse(text)) as Record<string, unknown> };
}

/** A socket of a page of another origin, and what it gets. */
async function open(): Promise<{ send: (frame: object) => void; next: (type: string) => Promise<Frame>; close: () => void }> {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/api/1.48.0/sync`, { headers: { Origin: "https://elsewhere.example" } });
  const frames: Frame[] = [];
  let wake = (): void => undefined;
  socket.on("message", (data: Buffer, isBinary) => {
    expect(isBinary).toBe(false);
    frames.push(JSON.parse(data.toString()) as Frame);
    wake();
  });
  socket.on("close", (code, reason) => {
    frames.push({ type: "closed", code, reason: reason.toString() });
    wake();
  });
  await new Promise((opened, failed) => {
    socket.once("open", opened);
    socket.once("error", failed);
  });
  return {
    send: (frame) => {
      socket.send(JSON.stringify(frame));
    },
    next: async (type) => {
      for (;;) {
        const frame = frames.shift();
        if (frame?.type === type) {
          return frame;
        }
        if (frame?.type === "closed") {
          throw new Error(`the socket was closed: ${JSON.stringify(frame)}`);
        }
        if (frame === undefined) {
          await new Promise<void>((woken) => (wake = woken));
        }
      }
    },
    close: () => {
      socket.close();
    },
  };
}

describe("a socket", () => {
  it("of any origin may be opened, and ignores events and fields that it does not know", async () => {
    const socket = await open();
    socket.send({ connectionCount: 0, lastCloseReason: "InitialConnect", sessionId: crypto.randomUUID(), clientTs: 1, somethingNew: [1], type: "Connect" });
    socket.send({ type: "Event", eventType: "NobodyKnowsThis", event: { deep: [null] } });
    socket.send({ modifications: [], baseVersion: 0, newVersion: 1, type: "ModifyQuerySet", later: true });
    expect(await socket.next("Transition")).toMatchObject({ startVersion: { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" }, endVersion: { querySet: 1, identity: 0 } });
    socket.close();
  });

  it("needs no Connect, and answers a mutation before the state that shows it", async () => {
    const socket = await open();
    const add = { type: "Add", queryId: 3, udfPath: "counters.js:get", args: [{ name: "no connect" }] };
    socket.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: [add] });
    expect((await socket.next("Transition")).modifications).toEqual([{ type: "QueryUpdated", queryId: 3, value: 0, logLines: [], journal: null }]);
    socket.send({ type: "Mutation", requestId: 0, udfPath: "counters:add", args: [{ name: "no connect", by: 2 }] });
    const response = await socket.next("MutationResponse");
    expect(response).toMatchObject({ requestId: 0, success: true, result: 2 });
    expect(Buffer.from(String(response.ts), "base64")).toHaveLength(8);
    const transition = await socket.next("Transition");
    // An ordinary number is written as one.
    expect(transition.modifications).toEqual([{ type: "QueryUpdated", queryId: 3, value: 2, logLines: [], journal: null }]);
    socket.close();
  });

  it("lets only the query fail that is not for everybody", async () => {
    const socket = await open();
    const adds = [
      { type: "Add", queryId: 1, udfPath: "_system/cli/tables", args: [{ paginationOpts: { cursor: null, numItems: 1 } }] },
      { type: "Add", queryId: 2, udfPath: "counters:get", args: [{ name: "x" }], componentPath: "someComponent" },
      { type: "Add", queryId: 3, udfPath: "counters:get", args: [{ name: "x" }] },
    ];
    socket.send({ type: "ModifyQuerySet", baseVersion: 0, newVersion: 1, modifications: adds });
    const { modifications } = (await socket.next("Transition")) as unknown as { modifications: (Frame & { queryId: number })[] };
    const kinds = modifications.sort((a, b) => a.queryId - b.queryId).map(({ type }) => type);
    expect(kinds).toEqual(["QueryFailed", "QueryFailed", "QueryUpdated"]);
    // Its presence would say that it is a ConvexError.
    expect(modifications.some((modification) => "errorData" in modification)).toBe(false);
    socket.close();
  });
});

describe("the HTTP API", () => {
  it("reads at a moment that is kept, and says when one is not", async () => {
    const { answer } = await post("/api/query_ts", {});
    const call = { path: "counters:get", args: { name: "nobody" } };
    expect(await post("/api/query_at_ts", { ...call, ts: answer.ts })).toMatchObject({ status: 200, answer: { status: "success", value: 0 } });
    expect((await post("/api/query_at_ts", { ...call, ts: "AQ==" })).status).toBe(400);
    // The past before a start is not kept, and the future is not known.
    await post("/api/mutation", { path: "counters:add", args: { name: "somebody", by: 1 } });
    server.killEngine();
    await server.answering();
    for (const ts of [answer.ts, "/////////38="]) {
      expect(await post("/api/query_at_ts", { ...call, ts })).toMatchObject({ status: 503, answer: { code: "OutOfRetention" } });
    }
  });

  it("takes arguments as an object or as an array of one, and none where it runs by address", async () => {
    for (const args of [{ name: "nobody" }, [{ name: "nobody" }]]) {
      expect((await post("/api/query", { path: "counters:get", args })).answer).toMatchObject({ status: "success", value: 0 });
    }
    expect((await post("/api/run/misc/site", {})).answer).toMatchObject({ status: "success", value: server.siteUrl });
  });

  it("tells functions their own addresses, under names that nobody else can set", async () => {
    expect((await post("/api/query", { path: "addresses:both", args: {} })).answer.value).toEqual([server.url, server.siteUrl]);
    for (const name of ["CONVEX_CLOUD_URL", "CONVEX_SITE_URL"]) {
      const set = await post("/api/update_environment_variables", { changes: [{ name, value: "https://elsewhere.example" }] }, { Authorization: `Convex ${server.adminKey}` });
      expect(set.status, name).toBe(400);
      expect(set.answer.code).toMatch(/^[A-Z][A-Za-z]+$/);
    }
    expect((await post("/api/query", { path: "addresses:both", args: {} })).answer.value).toEqual([server.url, server.siteUrl]);
  });

  it("answers every mistake with a code and a message", async () => {
    const mistakes: [string, unknown, Record<string, string>, number][] = [
      ["/api/query", { path: "no colon here:a:b:c", args: {} }, {}, 400],
      ["/api/query", { args: {} }, {}, 400],
      ["/api/function", { path: "counters:get", args: {} }, {}, 403],
      ["/api/query", { path: "counters:get", args: {} }, { Authorization: "Convex nobody|00" }, 401],
      ["/api/query", { path: "counters:get", args: {} }, { "Convex-Client": "noversion" }, 400],
    ];
    for (const [path, body, headers, status] of mistakes) {
      const { status: got, answer } = await post(path, body, headers);
      expect([got, typeof answer.code, typeof answer.message], `${path} ${JSON.stringify([body, headers, answer])}`).toEqual([status, "string", "string"]);
    }
  });
});
