import { build } from "esbuild";
import { describe, expect, it } from "vitest";

import type { ActionCode } from "../src/action.ts";
import { evaluate, type EvaluationReply } from "../src/evaluate.ts";
import { StackTranslator } from "../src/stack-trace.ts";
import type { EvaluationTask } from "../src/protocol.ts";

/** Bundles source text against the real client package, as its command line does. */
async function bundle(path: string, source: string): Promise<ActionCode> {
  const result = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    target: "esnext",
    conditions: ["convex", "module"],
    keepNames: true,
  });
  const text = result.outputFiles[0]?.text ?? "";
  return {
    version: "1",
    read: (wanted) => (wanted === path ? text : undefined),
    stacks: new StackTranslator(() => undefined),
    importSeed: "07".repeat(32),
    importTimeMs: 1_700_000_000_000,
  };
}

async function evaluated(task: EvaluationTask, source: string, env: Record<string, string> = {}): Promise<EvaluationReply> {
  return await evaluate(await bundle(task.path, source), env, task);
}

function success(reply: EvaluationReply): Extract<EvaluationReply, { ok: true }>["value"] {
  if (!reply.ok) {
    throw new Error(JSON.stringify(reply.error));
  }
  return reply.value;
}

function failure(reply: EvaluationReply): Extract<EvaluationReply, { ok: false }>["error"] {
  if (reply.ok) {
    throw new Error(JSON.stringify(reply.value));
  }
  return reply.error;
}

describe("evaluating pushed modules", () => {
  it("tells where handlers are written, and refuses one that is no function", async () => {
    const source = `import { queryGeneric } from "convex/server";
      const handler = async function named() { return 1; };
      export const first = queryGeneric({ args: {}, handler });
      export const second = queryGeneric({ args: {}, handler: () => 2 });
      export const bare = Object.assign(() => 3, { isQuery: true, isPublic: true });
      export const elsewhere = Object.assign(Math.max, { isQuery: true, isPublic: true });`;
    const task: EvaluationTask = { type: "functions", path: "m.js" };
    const bundled = await bundle("m.js", source);
    const text = `${bundled.read("m.js") ?? ""}\nexport { shared } from "./other.js";\n`;
    const other = "export const shared = Object.assign(() => 4, { isQuery: true, isPublic: true });";
    const code = { ...bundled, read: (path: string): string | undefined => ({ "m.js": text, "other.js": other })[path] };
    const value = success(await evaluate(code, {}, task)) as { functions: { name: string; position?: [number, number] }[] };
    const lines = text.split("\n");
    const written = Object.fromEntries(value.functions.map(({ name, position }) => [name, position && lines[position[0]]?.slice(position[1])]));
    // V8 counts the beginning of a function from its parameters.
    expect(written).toEqual({
      first: expect.stringMatching(/^\(\) \{/) as string,
      second: expect.stringMatching(/^\(\) => 2/) as string,
      bare: expect.stringMatching(/^\(\) => 3/) as string,
      elsewhere: undefined,
      shared: undefined,
    });
    const broken = await evaluated(task, "export const q = Object.assign(() => 1, { isQuery: true, isPublic: true, _handler: 5 });");
    expect(failure(broken).error.message).toBe("Uncaught Error: Invalid _handler of m.js:q: it is not a function");
  });

  it("finds registered functions with their validators", async () => {
    const reply = await evaluated(
      { type: "functions", path: "m.js" },
      `import { queryGeneric, internalMutationGeneric, actionGeneric } from "convex/server";
       import { v } from "convex/values";
       export const list = queryGeneric({ args: { n: v.number() }, returns: v.null(), handler: async () => null });
       export const add = internalMutationGeneric(async () => null);
       export default actionGeneric({ args: {}, handler: async () => null });
       export const helper = () => 1;
       export const constant = 5;`,
    );
    expect(success(reply)).toMatchObject({
      type: "functions",
      hasDefault: true,
      functions: expect.arrayContaining([
        {
          name: "list",
          udfType: "Query",
          visibility: "public",
          args: '{"type":"object","value":{"n":{"fieldType":{"type":"number"},"optional":false}}}',
          returns: '{"type":"null"}',
          position: [expect.any(Number) as number, expect.any(Number) as number],
        },
        expect.objectContaining({ name: "add", udfType: "Mutation", visibility: "internal", args: '{"type":"any"}' }),
        expect.objectContaining({ name: "default", udfType: "Action" }),
      ]) as unknown,
    });
    expect((success(reply) as { functions: unknown[] }).functions).toHaveLength(3);
  });

  it("finds the routes of http.js", async () => {
    const reply = await evaluated(
      { type: "functions", path: "http.js" },
      `import { httpRouter, httpActionGeneric } from "convex/server";
       const http = httpRouter();
       const handler = httpActionGeneric(async () => new Response("ok"));
       http.route({ path: "/a", method: "GET", handler });
       http.route({ pathPrefix: "/p/", method: "POST", handler });
       export default http;`,
    );
    expect(success(reply)).toMatchObject({ httpRoutes: [["/a", "GET"], ["/p/*", "POST"]], functions: [] });
  });

  it("exports schemas, definitions and auth configurations as text", async () => {
    const schema = await evaluated(
      { type: "schema", path: "schema.js" },
      `import { defineSchema, defineTable } from "convex/server";
       import { v } from "convex/values";
       export default defineSchema({ messages: defineTable({ body: v.string() }).index("by_body", ["body"]) });`,
    );
    const { text } = success(schema) as { text: string };
    expect(JSON.parse(text)).toMatchObject({ schemaValidation: true, tables: [{ tableName: "messages" }] });

    const definition = await evaluated(
      { type: "definition", path: "convex.config.js" },
      `import { defineApp } from "convex/server"; export default defineApp();`,
    );
    expect(JSON.parse((success(definition) as { text: string }).text)).toMatchObject({ definitionType: { type: "app" } });

    const auth = await evaluated(
      { type: "authConfig", path: "auth.config.js" },
      `export default { providers: [{ domain: process.env.DOMAIN, applicationID: "a" }] };`,
      { DOMAIN: "https://i.example" },
    );
    expect((success(auth) as { text: string }).text).toBe(
      '{"providers":[{"domain":"https://i.example","applicationID":"a"}]}',
    );
  });

  it("names the variable that an auth configuration misses", async () => {
    const reply = await evaluated(
      { type: "authConfig", path: "auth.config.js" },
      `export default { providers: [{ domain: process.env.MISSING, applicationID: "a" }] };`,
    );
    expect(failure(reply)).toMatchObject({ code: "missingEnvironmentVariable", missingEnv: "MISSING" });
  });

  it("reports what a module throws, with its console lines", async () => {
    const reply = await evaluated(
      { type: "functions", path: "m.js" },
      `console.log("before"); function load() { throw new Error("at import"); } load();`,
    );
    expect(failure(reply)).toMatchObject({ error: { message: "Uncaught Error: at import" }, logLines: ["[LOG] 'before'"] });
    expect(failure(reply).error.frames[0]).toMatch(/at load \(m\.js:/);
  });

  it("reports syntax errors and missing imports", async () => {
    const broken: ActionCode = { ...(await bundle("m.js", "")), read: () => "export const = 1;" };
    const reply = await evaluate(broken, {}, { type: "functions", path: "m.js" });
    expect(failure(reply).error.message).toMatch(/^Uncaught SyntaxError: /);

    const missing: ActionCode = { ...broken, read: (path) => (path === "m.js" ? 'import "./gone.js";' : undefined) };
    expect(failure(await evaluate(missing, {}, { type: "functions", path: "m.js" })).error.message).toContain("gone.js");
  });

  it("has no database and no network while it imports", async () => {
    for (const [code, text] of [
      ["await Convex.asyncSyscall('1.0/get', '{}');", "Can't use database at import time"],
      ["fetch('http://127.0.0.1/');", "fetch() unsupported at import time"],
    ] as const) {
      expect(failure(await evaluated({ type: "functions", path: "m.js" }, code)).error.message).toContain(text);
    }
  });
});
