import { cpSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { TestApp } from "../src/app.ts";
import { Gate } from "../src/gate.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, sleep } from "../src/server.ts";

const START = "/api/deploy2/start_push";
const WAIT = "/api/deploy2/wait_for_schema";
const FINISH = "/api/deploy2/finish_push";
const PUSH = ["dev", "--once", "--typecheck", "disable"];
const DEPLOY = ["deploy", "-y", "--typecheck", "disable"];

// Several runs of the command line each, perhaps on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

const { server, app, calls } = await runApp("schema", {
  prepare: (pushed) => {
    use(pushed, "rows");
  },
});
let gate: Gate;
/** The same app, pushed through the gate. */
let gated: TestApp;

beforeEach(async () => {
  gate = await Gate.before(server);
  gated = new TestApp(gate, "schema");
});

afterEach(() => {
  gate.close();
  gated.delete();
});

function use(target: TestApp, schema: string): void {
  cpSync(join(target.dir, `schemas/${schema}.ts`), join(target.dir, "convex/schema.ts"));
}

async function note(text: unknown): Promise<string> {
  return await calls.mutation<string>("documents:insert", { table: "notes", value: { text: text as string } });
}

describe("a schema under way", () => {
  it("fails because of a document that was there; the old one stays in force, and a repaired document lets it pass", async () => {
    const bad = await note(5);
    use(gated, "strict");
    const failed = await gated.convex(...PUSH);
    expect(failed.code).toBe(1);
    expect(failed.output).toContain(
      `Schema validation failed.\nDocument with ID "${bad}" in table "notes" does not match the schema: Value does not match validator.\nPath: .text\nValue: 5.0\nValidator: v.string()`,
    );
    expect(await calls.mutation("documents:attempt", { write: "insert", table: "rows", value: {} })).toContain("Failed to insert or update a document");
    await calls.mutation("documents:remove", { id: await note(6) });
    expect(await calls.query("documents:attemptFind", { table: "notes", index: "by_text" })).toContain("notes.by_text");
    await calls.mutation("documents:patch", { id: bad, value: { text: "five" } });
    const passed = await gated.convex(...PUSH);
    expect(passed.code, passed.output).toBe(0);
    expect(passed.output).toMatch(/Added table indexes:\n\s+\[\+\] notes\.by_text\s+text, _creationTime/);
    expect(await calls.mutation("documents:attempt", { write: "insert", table: "notes", value: { text: 5 } })).toContain('Validator: v.string()');
    use(app, "rows");
    expect(await app.push()).toMatch(/Deleted table indexes:\n\s+\[-\] notes\.by_text\s+text, _creationTime/);
  });

  it.each([
    ["pending", WAIT],
    ["validated", FINISH],
  ])("fails because of a document that comes while it is %s; the write goes through", async (_state, moment) => {
    use(gated, "strict");
    const held = gate.hold(moment);
    const push = gated.convex(...PUSH);
    await held.arrived;
    await note("fits both");
    const bad = await note(7);
    expect(await calls.query("documents:get", { id: bad })).toMatchObject({ text: 7 });
    held.open();
    const { code, output } = await push;
    expect(code).toBe(1);
    const text = 'New document in table "notes" does not match the schema: Value does not match validator.\nPath: .text\nValue: 7.0\nValidator: v.string()';
    if (moment === WAIT) {
      expect(output).toContain(`Schema validation failed.\n${text}`);
    } else {
      expect(output).toContain("SchemaAlreadyFailed");
      expect(output).toContain(text);
    }
    await calls.mutation("documents:remove", { id: bad });
  });

  it("does not fail because of a write that was undone", async () => {
    use(gated, "strict");
    const held = gate.hold(WAIT);
    const push = gated.convex(...PUSH);
    await held.arrived;
    await calls.mutation("transactions:undone", { table: "notes", value: { text: 8 } });
    held.open();
    const { code, output } = await push;
    expect(code, output).toBe(0);
    await app.push();
  });

  it("is overwritten by another push, of which its own push hears", async () => {
    use(gated, "strict");
    const held = gate.hold(WAIT);
    const push = gated.convex(...DEPLOY);
    await held.arrived;
    use(app, "narrow");
    await app.push();
    held.open();
    const { code, output } = await push;
    expect(code, output).toBe(1);
    expect(output).toContain("Schema was overwritten by another push.");
    use(app, "rows");
    await app.push();
  });

  it("is not finished after another push was, even if both have the same schema", async () => {
    use(gated, "rows");
    const held = gate.hold(FINISH);
    const push = gated.convex(...PUSH);
    await held.arrived;
    app.write("convex/version.ts", 'import { queryGeneric } from "convex/server";\nexport const get = queryGeneric({ args: {}, handler: () => "theirs" });\n');
    await app.push();
    held.open();
    const { code, output } = await push;
    expect(code).toBe(1);
    expect(output).toContain("ConcurrentPush");
    expect(await calls.query("version:get")).toBe("theirs");
    app.remove("convex/version.ts");
    await app.push();
  });

  it("is one of several that are pushed at the same moment; each push succeeds or says why not", async () => {
    use(gated, "strict");
    const pushes = [app, gated, app, gated].map((target) => target.convex(...PUSH));
    const results = await Promise.all(pushes);
    for (const { code, output } of results) {
      if (code !== 0) {
        expect(output).toMatch(/ConcurrentPush|Schema was overwritten by another push|SchemaAlreadyOverwritten/);
      }
    }
    expect(results.some(({ code }) => code === 0)).toBe(true);
    await app.push();
    await calls.mutation("documents:remove", { id: await note(11) });
  });

  it("leaves nothing behind when the code of its push is broken", async () => {
    use(gated, "strict");
    gated.write("convex/broken.ts", 'throw new Error("not today");\nexport const never = 1;\n');
    const { code, output } = await gated.convex(...PUSH);
    expect(code).toBe(1);
    expect(output).toContain("not today");
    expect(await calls.query("documents:attemptFind", { table: "notes", index: "by_text" })).toBe("Index notes.by_text not found.");
    const id = await note(9);
    await calls.mutation("documents:remove", { id });
  });

  it("is pushed again by `convex dev` as soon as the table has changed", async () => {
    const bad = await note(10);
    use(gated, "strict");
    const dev = gated.spawnConvex("dev", "--typecheck", "disable", "--tail-logs", "disable");
    let output = "";
    dev.stderr?.on("data", (chunk: Buffer) => (output += chunk.toString()));
    try {
      await eventually("the failed push", () => (output.includes(`Document with ID "${bad}"`) ? true : undefined), 120_000);
      await calls.mutation("documents:remove", { id: bad });
      // The CLI begins to watch the table only after it has told of the failure, so the change above may be too early.
      const nextPush = async (): Promise<true | undefined> => {
        if (output.includes("Convex functions ready!")) {
          return true;
        }
        await sleep(1_000);
        await calls.mutation("documents:remove", { id: await note("good") });
        return undefined;
      };
      await eventually("the next push", nextPush, 120_000).catch((error: unknown) => {
        throw new Error(`${String(error)}:\n${output}`);
      });
    } finally {
      dev.kill("SIGINT");
    }
    await app.push();
  });

  it("is gone when the app has none any more: documents stay, checks and indexes do not", async () => {
    use(app, "strict");
    await app.push();
    app.remove("convex/schema.ts");
    expect(await app.push()).toMatch(/\[-\] notes\.by_text/);
    expect(await calls.mutation("documents:attempt", { write: "insert", table: "rows", value: { free: true } })).toBeNull();
    expect(await calls.query("documents:attemptFind", { table: "notes", index: "by_text" })).toBe("Index notes.by_text not found.");
    const [row] = await calls.query<{ _id: string }[]>("documents:find", { table: "rows" });
    await calls.mutation("documents:remove", { id: row?._id ?? "" });
    use(app, "rows");
    await app.push();
  });
});

describe("a schema for a large table", () => {
  const ROWS = 100_000;
  const AT_ONCE = 4000;

  it("is checked while others write, survives a killed engine, and is put in force", async () => {
    for (let from = 0; from < ROWS; from += AT_ONCE) {
      await calls.mutation("documents:fill", { table: "rows", from, count: AT_ONCE });
    }
    use(gated, "narrow");
    const held = gate.hold(WAIT);
    const begun = gate.answered(START);
    const push = gated.convex(...PUSH);
    await begun;
    server.killEngine();
    await server.answering();
    await held.arrived;
    // Whether the engine died in the middle depends on the machine; either way the check must come to its end.
    await note("still writing");
    held.open();
    const { code, output } = await push;
    expect(code, output).toBe(0);
    expect(await calls.mutation("documents:attempt", { write: "insert", table: "rows", value: { n: 1, group: "x", extra: null } })).toBeNull();
  });

  it("has its indexes built, and the server tells how far it is", async () => {
    use(gated, "narrowIndexed");
    const { code, output } = await gated.convex(...PUSH);
    expect(code, output).toBe(0);
    // The CLI shows the answers in a line that it rewrites, on terminals only.
    const answers = gate.answers(WAIT) as { type: string; components?: Record<string, { indexesComplete: number; indexesTotal: number }> }[];
    expect(answers.at(-1)).toEqual({ type: "complete" });
    // How often it is asked depends on the machine.
    let complete = 0;
    for (const { components } of answers.slice(0, -1)) {
      const progress = components?.[""];
      expect(progress?.indexesTotal).toBe(3);
      expect(progress?.indexesComplete).toBeGreaterThanOrEqual(complete);
      complete = progress?.indexesComplete ?? 0;
    }
  });
});
