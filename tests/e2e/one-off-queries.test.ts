/** Queries that are not deployed: `convex run --inline-query`, and the endpoint behind it that other tools call. */

import { describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";

const { server, app } = await runApp("basic");
for (const [author, body] of [["ada", "one"], ["bob", "two"], ["ada", "three"]]) {
  await app.convex("run", "messages:send", JSON.stringify({ author, body }));
}

async function inline(query: string): Promise<unknown> {
  const ran = await app.convex("run", "--inline-query", query);
  expect(ran.code, ran.output).toBe(0);
  return ran.stdout.trim() === "" ? null : (JSON.parse(ran.stdout) as unknown);
}

interface Answer {
  status: string;
  value?: unknown;
  errorMessage?: string;
}

const WRAPPERS = 'import { query, internalQuery } from "convex:/_system/repl/wrappers.js";\n';

/** Runs a module through the endpoint. */
async function run(body: string, more: object = {}, headers: Record<string, string> = {}): Promise<{ status: number; answer: Answer & { code?: string } }> {
  const response = await fetch(`${server.url}/api/run_test_function`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify({ adminKey: server.adminKey, args: {}, bundle: { path: "testQuery.js", source: WRAPPERS + body }, ...more }),
  });
  return { status: response.status, answer: (await response.json()) as Answer & { code?: string } };
}

async function value(expression: string, more: object = {}): Promise<unknown> {
  const { status, answer } = await run(`export default query({ handler: async (ctx, args) => { return (${expression}); } });`, more);
  expect(status, JSON.stringify(answer)).toBe(200);
  expect(answer.status, answer.errorMessage).toBe("success");
  return answer.value;
}

async function failure(source: string): Promise<string> {
  const { answer } = await run(source);
  expect(answer.status).toBe("error");
  return answer.errorMessage ?? "";
}

describe("an inline query from the CLI", () => {
  it("reads the data", async () => {
    const bodies = 'Array.from(await ctx.db.query("messages").collect(), (message) => message.body)';
    expect(await inline(bodies)).toEqual(["one", "two", "three"]);
    expect(await inline('(await ctx.db.query("messages").order("desc").first()).author')).toBe("ada");
  });

  it("is told what went wrong", async () => {
    const failed = await app.convex("run", "--inline-query", 'await ctx.db.query("messages").withIndex("nope").collect()');
    expect(failed.code).not.toBe(0);
    expect(failed.output).toContain("Index messages.nope not found.");
    const syntax = await app.convex("run", "--inline-query", "1 +");
    expect(syntax.code).not.toBe(0);
    expect(syntax.output).toContain("SyntaxError");
  });
});

describe("a one-off query", () => {
  it("has every way to read that an app's queries have", async () => {
    const ids = (await value('(await ctx.db.query("messages").collect()).map((m) => m._id)')) as string[];
    const [first = ""] = ids;
    expect(await value(`[(await ctx.db.get(${JSON.stringify(first)})).body, (await ctx.db.get("messages", ${JSON.stringify(first)})).body]`)).toEqual(["one", "one"]);
    expect(await value(`(await ctx.db.table("messages").get(${JSON.stringify(first)})).body`)).toBe("one");
    expect(await value(`ctx.db.normalizeId("messages", ${JSON.stringify(first)})`)).toBe(first);
    expect(await value('ctx.db.normalizeId("messages", "nonsense")')).toBeNull();
    expect(await value('(await ctx.db.query("messages").withIndex("by_author", (q) => q.eq("author", "ada")).order("desc").collect()).map((m) => m.body)')).toEqual(["three", "one"]);
    expect(await value('(await ctx.db.query("messages").filter((q) => q.and(q.neq(q.field("author"), "bob"), q.not(q.eq(q.field("body"), "one")))).collect()).map((m) => m.body)')).toEqual(["three"]);
    expect(await value('(await ctx.db.query("messages").take(2)).length')).toBe(2);
    expect(await value('await ctx.db.query("messages").withIndex("by_author", (q) => q.eq("author", "nobody")).unique()')).toBeNull();
    expect(await value('await ctx.db.query("messages").count()')).toBe(3);
    expect(await value('await ctx.db.system.query("_scheduled_functions").collect()')).toEqual([]);
    const page = (await value('await ctx.db.query("messages").paginate({ numItems: 2, cursor: null })')) as { page: { body: string }[]; isDone: boolean };
    expect(page.page.map(({ body }) => body)).toEqual(["one", "two"]);
    expect(page.isDone).toBe(false);
  });

  it("carries every type of value", async () => {
    const encoded = await value('[1n, -0, 1 / 0, new Uint8Array([1, 2]).buffer, { a: [null, true, "x"], gone: undefined }]', { format: "convex_encoded_json" });
    expect(encoded).toEqual([
      { $integer: "AQAAAAAAAAA=" }, { $float: "AAAAAAAAAIA=" }, { $float: "AAAAAAAA8H8=" }, { $bytes: "AQI=" }, { a: [null, true, "x"] },
    ]);
    const args = { n: { $integer: "AgAAAAAAAAA=" }, b: { $bytes: "AQI=" } };
    expect(await value("[typeof args.n, args.n === 2n, args.b.byteLength]", { args })).toEqual(["bigint", true, 2]);
  });

  it("calls the app's queries and knows whom the admin acts as", async () => {
    expect(((await value('await ctx.runQuery("messages:list", {})')) as unknown[]).length).toBe(3);
    expect(await value("await ctx.auth.getUserIdentity()")).toBeNull();
  });

  it("may import the app's modules", async () => {
    const { answer } = await run('import * as messages from "./messages.js";\nexport default internalQuery(() => Object.keys(messages).includes("send"));');
    expect(answer).toMatchObject({ status: "success", value: true });
  });

  it("leaves nothing behind", async () => {
    await value("globalThis.leak = 1");
    expect(await value("typeof globalThis.leak")).toBe("undefined");
    expect((await app.convex("run", "testQuery:default")).output).toContain("Could not find function for 'testQuery");
  });

  it("cannot write", async () => {
    expect(await failure('export default query((ctx) => ctx.db.insert("messages", {}));')).toContain("ctx.db.insert is not a function");
    const raw = 'Convex.asyncSyscall("1.0/insert", JSON.stringify({ table: "messages", value: { author: "x", body: "y" } }))';
    expect(await failure(`export default query(() => ${raw});`)).toMatch(/insert/);
    expect(await value('await ctx.db.query("messages").count()')).toBe(3);
  });

  it("fails with what is wrong", async () => {
    expect(await failure("export const other = query(() => 1);")).toContain('Couldn\'t find "default" in module "testQuery.js"');
    expect(await failure("export default 1;")).toContain("is neither a query or mutation");
    expect(await failure("export default query(() => Symbol());")).toContain("not a valid Convex value");
    expect(await failure('export default query((ctx) => ctx.db.query("messages"));')).toContain("Return value is a Query");
    expect(await failure('export default query((ctx) => ctx.db.query("_storage").collect());')).toContain("System tables can only be accessed from db.system");
    expect(await failure("export default query({ args: { a: 1 }, handler: () => 1 });")).toContain("no validators");
    expect(await failure('import "convex:/nothing.js";')).toContain("Unsupported scheme (convex)");
    expect(await failure("export default query(() => { for (;;) {} });")).toContain("timed out");
  });

  it("is for admins", async () => {
    expect((await run("", { adminKey: undefined })).status).toBe(403);
    expect((await run("", { adminKey: "wrong|00" })).status).toBe(401);
    const ok = await run("export default query(() => 1);", { adminKey: undefined }, { Authorization: `Convex ${server.adminKey}` });
    expect(ok.answer.value).toBe(1);
    expect(await run("", { bundle: { path: "../x.js", source: "" } })).toMatchObject({ status: 400, answer: { code: "BadOneOffModule" } });
    expect(await run("", { bundle: { path: "x.js", source: " ".repeat(2 << 20) } })).toMatchObject({ status: 400, answer: { code: "BadOneOffModule" } });
    expect(await run("", { componentId: "abc" })).toMatchObject({ status: 400, answer: { code: "ComponentNotFound" } });
  });
});
