import { describe, expect, it } from "vitest";

import { Calls } from "../src/calls.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, freePort } from "../src/server.ts";

const FUNCTIONS = `
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, internalQuery, mutation, query } from "./_generated/server";

export const inner = internalQuery({
  args: {},
  handler: async (ctx) => { console.log("from inside"); return (await ctx.db.query("log").collect()).length; },
});
export const outer = mutation({
  args: {},
  handler: async (ctx) => {
    console.log("from outside");
    await ctx.db.insert("log", { session: "watched", n: 1 });
    return await ctx.runQuery(internal.watched.inner, {});
  },
});
export const slow = query({
  args: { n: v.number() },
  handler: () => { let x = 0; for (let i = 0; i < 1e8; i += 1) { x += i % 7; } return x; },
});
export const quick = query({ args: { n: v.number() }, handler: (_ctx, { n }) => n });
export const later = internalMutation({ args: {}, handler: () => null });
export const other = internalMutation({ args: {}, handler: () => null });
export const schedule = mutation({
  args: { count: v.number() },
  handler: async (ctx, { count }) => {
    const ids = [];
    for (let n = 0; n < count; n += 1) {
      ids.push(await ctx.scheduler.runAfter(3_600_000, n % 2 === 0 ? internal.watched.later : internal.watched.other, {}));
    }
    return ids;
  },
});
export const states = query({
  args: {},
  handler: async (ctx) => (await ctx.db.system.query("_scheduled_functions").collect()).map((job) => job.name + " " + job.state.kind),
});
`;

const watchPort = await freePort();
const { server, app } = await runApp("basic", {
  args: ["--lanes", "2", "--log-format", "json", "--metrics-listen", `127.0.0.1:${watchPort}`, "--scheduled-max", "20", "--queue-wait-ms", "60000"],
  prepare: (app) => {
    app.write("convex/watched.ts", FUNCTIONS);
  },
});

async function asAdmin(path: string, body?: object): Promise<{ status: number; text: string; json: () => unknown }> {
  const response = await fetch(`${server.url}${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { Authorization: `Convex ${server.adminKey}`, "Content-Type": "application/json", "Convex-Client": "npm-cli-1.48.0" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, text, json: () => JSON.parse(text) as unknown };
}

describe("metrics", () => {
  it("tell on both ports what functions have done, and nothing to strangers on the public one", async () => {
    const calls = new Calls(server);
    await calls.mutation("watched:outer");
    const pages = [await asAdmin("/metrics"), { text: await (await fetch(`http://127.0.0.1:${watchPort}/metrics`)).text() }];
    for (const { text } of pages) {
      expect(text).toMatch(/freshet_function_calls_total\{function="watched:outer",kind="Mutation",component=""\} [1-9]/);
      expect(text).toMatch(/freshet_commits_total [1-9]/);
      expect(text).toMatch(/freshet_lanes 2\n/);
      expect(text).toMatch(/process_resident_memory_bytes [1-9]\d{6,}/);
    }
    expect((await fetch(`${server.url}/metrics`)).status).toBe(403);
    expect((await fetch(`http://127.0.0.1:${watchPort}/api/query`)).status).toBe(404);
  });

  it("keep health apart from keys", async () => {
    for (const url of [`${server.url}/live`, `${server.url}/ready`, `http://127.0.0.1:${watchPort}/ready`]) {
      expect((await fetch(url)).status).toBe(200);
    }
  });
});

describe("the log stream", () => {
  it("tells which function printed a line, and what was read and written", async () => {
    const { newCursor } = (await asAdmin("/api/stream_function_logs?cursor=0")).json() as { newCursor: number };
    const response = await fetch(`${server.url}/api/mutation`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Convex-Request-Id": "0123456789abcdef" },
      body: JSON.stringify({ path: "watched:outer", args: {} }),
    });
    expect(response.headers.get("convex-request-id")).toBe("0123456789abcdef");
    const page = (await asAdmin(`/api/stream_function_logs?cursor=${newCursor}`)).json() as { entries: Record<string, unknown>[] };
    const entry = page.entries.find(({ identifier }) => identifier === "watched:outer");
    expect(entry).toMatchObject({ kind: "Completion", requestId: "0123456789abcdef" });
    const [outside, inside] = entry?.logLines as Record<string, unknown>[];
    expect(outside).toMatchObject({ messages: ["'from outside'"] });
    expect(outside).not.toHaveProperty("udfPath");
    expect(inside).toMatchObject({ messages: ["'from inside'"], udfPath: "watched:inner", componentPath: null });
    const usage = entry?.usageStats as Record<string, number>;
    expect(usage.databaseWriteDocuments).toBe(1);
    expect(usage.databaseReadDocuments).toBeGreaterThanOrEqual(1);
    expect(usage.databaseReadBytes).toBeGreaterThan(0);
  });

  it("is what `convex logs` shows", async () => {
    const logs = app.spawnConvex("logs");
    let output = "";
    logs.stdout?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    logs.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    const calls = new Calls(server);
    await eventually("the lines", async () => {
      await calls.mutation("watched:outer");
      return output.includes("from outside") && output.includes("from inside") ? true : undefined;
    }, 30_000);
    expect(output).toMatch(/\[CONVEX M\(watched:outer\)\]/);
    logs.kill("SIGINT");
  });
});

describe("the server's own log", () => {
  it("is JSON, line by line, when that is asked for", () => {
    // What stands before the engine's first line is for people: the line that says where the server is.
    const lines = server.output.split("\n").filter((line) => line !== "" && !line.startsWith("Freshet is ready"));
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) {
      expect(JSON.parse(line)).toHaveProperty("level");
    }
  });
});

describe("a slow function", () => {
  it("does not starve the others", async () => {
    const calls = new Calls(server);
    let done = 0;
    const slow = Array.from({ length: 8 }, async (_, n) => {
      // Whether it ends in time is not the question.
      await calls.query("watched:slow", { n }).catch(() => undefined);
      done += 1;
    });
    await eventually("the slow ones in line", async () => {
      const { text } = await asAdmin("/metrics");
      return Number(/freshet_lane_queue_length (\d+)/.exec(text)?.[1]) >= 4 ? true : undefined;
    });
    expect(await calls.query("watched:quick", { n: 1 })).toBe(1);
    // It came last and did not wait for those before it.
    expect(done).toBeLessThan(6);
    await Promise.all(slow);
  });
});

describe("scheduled functions", () => {
  it("are bounded in number", async () => {
    const calls = new Calls(server);
    await calls.mutation("watched:schedule", { count: 10 });
    expect(await calls.failure(calls.mutation("watched:schedule", { count: 30 }))).toContain("Too many outstanding scheduled functions (limit: 20)");
    expect((await asAdmin("/api/delete_scheduled_functions_table", {})).status).toBe(200);
    expect(await calls.query("watched:states")).toEqual([]);
  });
});
