import { cpSync } from "node:fs";
import { join } from "node:path";
import { compareValues, type Value } from "convex/values";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls, type Row } from "../src/calls.ts";
import { Gate } from "../src/gate.ts";
import { runApp } from "../src/running-app.ts";
import { FreshetServer } from "../src/server.ts";

const START = "/api/deploy2/start_push";
const FINISH = "/api/deploy2/finish_push";
const EVALUATE = "/api/deploy2/evaluate_schema";
const PUSH = ["dev", "--once", "--typecheck", "disable"];
const DEPLOY = ["deploy", "-y", "--typecheck", "disable"];
const ROWS = 20_000;
const AT_ONCE = 4000;

const { server, app, calls } = await runApp("schema", {
  prepare: (pushed) => {
    use(pushed, "rows");
  },
});
let gate: Gate;
/** The same app, pushed through the gate. */
let gated: TestApp;

beforeAll(async () => {
  for (let from = 0; from < ROWS; from += AT_ONCE) {
    await calls.mutation("documents:fill", { table: "rows", from, count: AT_ONCE });
  }
});

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

/** Checks that an index has every row of the table, once and in its order. */
async function expectComplete(index: string, key: (row: Row) => (Value | undefined)[]): Promise<void> {
  const keyed = (rows: Row[]): { id: string; key: (Value | undefined)[] }[] => rows.map((row) => ({ id: row.id, key: [...key(row), row.time, row.id] }));
  const scanned = keyed(await calls.allRows({ table: "rows" })).sort((a, b) => a.key.reduce<number>((order, part, at) => order || compareValues(part, b.key[at]), 0));
  const found = keyed(await calls.allRows({ table: "rows", index }));
  expect(found.length).toBe(scanned.length);
  expect(found.findIndex((row, at) => row.id !== scanned[at]?.id), `the first row of ${index} that is not in its place`).toBe(-1);
}

async function problem(index: string): Promise<string | null> {
  return await calls.query<string | null>("documents:attemptFind", { table: "rows", index });
}

describe("the definition of an index", () => {
  const fields = (count: number): string => JSON.stringify(Array.from({ length: count }, (_, n) => `f${n}`));
  const many = (count: number): string => Array.from({ length: count }, (_, n) => `.index("i${n}", ["f${n}"])`).join("");
  const cases: [string, string, string | null][] = [
    ["InvalidIndexName", '.index("by-x", ["x"])', 'In table "t" the index "by-x" has an invalid name. '],
    ["InvalidIndexName", '.index("1st", ["x"])', null],
    ["InvalidIndexName", `.index("${"x".repeat(65)}", ["x"])`, "Identifier is too long (65 > maximum 64)"],
    ["IndexNameReserved", '.index("_x", ["x"])', null],
    ["IndexNameReserved", '.index("by_id", ["x"])', null],
    ["IndexNameReserved", '.index("by_creation_time", ["x"])', null],
    ["IndexNamesNotUnique", '.index("a", ["x"]).index("a", ["y"])', 'In table "t" the index "a" is defined more than once.'],
    ["IndexNamesNotUnique", '.index("a", ["x"]).searchIndex("a", { searchField: "y" })', null],
    ["IndexNamesNotUnique", '.index("a", ["x"]).index("a", { fields: ["y"], staged: true })', null],
    ["EmptyIndex", '.index("a", [])', null],
    ["InvalidIndexField", '.index("a", ["x-y"])', null],
    ["InvalidIndexField", '.index("a", ["x..y"])', null],
    ["FieldsNotUniqueWithinIndex", '.index("a", ["x", "x"])', null],
    ["IndexFieldsContainId", '.index("a", ["_id"])', null],
    ["IndexFieldsContainCreationTime", '.index("a", ["x", "_creationTime"])', null],
    ["IndexFieldNameReserved", '.index("a", ["_x"])', null],
    ["IndexTooManyFields", `.index("a", ${fields(16)})`, null],
    ["IndexNotUnique", '.index("a", ["x"]).index("b", ["x"])', 'In table "t" the index "b" indexes the same fields as the index "a".'],
    ["IndexNotUnique", '.index("a", ["x"]).index("b", { fields: ["x"], staged: true })', null],
    ["SearchIndexFieldNotUnique", '.searchIndex("a", { searchField: "x", filterFields: ["y", "z"] }).searchIndex("b", { searchField: "x", filterFields: ["z", "y"] })', null],
    ["VectorIndexFieldNotUnique", '.vectorIndex("a", { vectorField: "x", dimensions: 3 }).vectorIndex("b", { vectorField: "x", dimensions: 3, filterFields: ["y"] })', null],
    ["IndexTooManyFilterFields", `.searchIndex("a", { searchField: "x", filterFields: ${fields(17)} })`, null],
    ["InvalidVectorDimensionError", '.vectorIndex("a", { vectorField: "x", dimensions: 1 })', null],
    ["InvalidVectorDimensionError", '.vectorIndex("a", { vectorField: "x", dimensions: 4097 })', null],
    ["TooManyIndexes", many(65), 'Table "t" has more than 64 indexes.'],
  ];
  const whole: [string, string, string | null][] = [
    ["InvalidTableName", 'defineSchema({ "a-b": defineTable(v.any()) })', null],
    ["TableNameReserved", "defineSchema({ _a: defineTable(v.any()) })", null],
    [
      "SchemaDefinitionError",
      'defineSchema({ t: defineTable({ a: v.string() }).index("i", ["f"]) })',
      'In table "t" the index "i" is invalid because it references the field "f" that does not exist.',
    ],
    [
      "SchemaDefinitionError",
      'defineSchema({ t: defineTable({ a: v.string() }).vectorIndex("i", { vectorField: "a", dimensions: 3 }) })',
      'In table "t" the index "i" is invalid because it references the field "a" that is neither an array of float64 or optional array of float64.',
    ],
    ["InvalidTopLevelTypeInSchemaError", "defineSchema({ t: defineTable(v.string() as any) })", null],
    ["InvalidRecordType", 'defineSchema({ t: defineTable({ a: v.record(v.literal("x") as any, v.null()) }) })', "Records cannot have string literal keys"],
    ["InvalidRecordType", "defineSchema({ t: defineTable({ a: v.record(v.number() as any, v.null()) }) })", "Records can only have string keys."],
    ["InvalidSchemaExport", "{ tables: 5 }", null],
  ];
  const schemas = [
    ...cases.map(([code, chain, text]): [string, string, string | null] => [code, `defineSchema({ t: defineTable(v.any())${chain} })`, text]),
    ...whole,
  ];

  it.each(schemas)("is refused with %s (case %#)", async (code, schema, text) => {
    const head = 'import { defineSchema, defineTable } from "convex/server";\nimport { v } from "convex/values";\n';
    gated.write("convex/schema.ts", `${head}export default ${schema};\nexport const used = [defineSchema, defineTable, v];\n`);
    const { code: exit, output } = await gated.convex(...PUSH);
    expect(exit, output).toBe(1);
    expect(output).toContain(`400 Bad Request: ${code}: Hit an error while pushing:\nHit an error while evaluating your schema:\n`);
    expect(output).toContain(text ?? "");
    expect(gate.passed.some((passed) => passed.path === FINISH)).toBe(false);
  });

  it("has to be exported", async () => {
    gated.write("convex/schema.ts", "export const schema = 1;\n");
    const { output } = await gated.convex(...PUSH);
    expect(output).toContain("MissingSchemaExportError");
  });

  it("may have 15 fields, and a table 64 of them; an app may have many tables", async () => {
    const server = await FreshetServer.start();
    const wide = new TestApp(server, "schema");
    try {
      const tables = Array.from({ length: 300 }, (_, n) => `t${n}: defineTable(v.any()).index("a", ["x"]).index("b", ["y", "z"])`);
      const text = `import { defineSchema, defineTable } from "convex/server";\nimport { v } from "convex/values";\nexport default defineSchema({ full: defineTable(v.any())${many(63)}.index("wide", ${fields(15)}), ${tables.join(", ")} });\n`;
      wide.write("convex/schema.ts", text);
      await wide.push();
      const there = new Calls(server);
      await there.mutation("documents:insert", { table: "full", value: { f0: 1, f62: "x", f14: 3n } });
      for (const [index, range] of [["i62", [["eq", "f62", "x"]]], ["wide", [["eq", "f0", 1], ["gt", "f1", undefined]]], ["wide", [["eq", "f0", 1]]]] as const) {
        const found = await there.query<unknown[]>("documents:find", { table: "full", index, range: range.map((part) => part.filter((value) => value !== undefined)) });
        expect(found).toHaveLength(range.length === 2 ? 0 : 1);
      }
      await there.mutation("documents:insert", { table: "t299", value: { y: 1 } });
      expect(await there.query("documents:find", { table: "t299", index: "b", range: [["eq", "y", 1]] })).toHaveLength(1);
    } finally {
      wide.delete();
      await server.stop();
    }
  });
});

describe("an index", () => {
  it("is built while clients go on writing, and then has exactly what a scan finds", { timeout: 180_000 }, async () => {
    use(gated, "indexed");
    let done = false;
    const rows = (await calls.allRows({ table: "rows" })).filter((_, n) => n % 5 === 0);
    const write = async (kind: number): Promise<number> => {
      let count = 0;
      for (; !done; count += 1) {
        const row = rows[(count * 3 + kind) % rows.length];
        if (kind === 0) {
          await calls.mutation("documents:insert", { table: "rows", value: { n: -count, group: `new${count % 5}` } });
        } else if (kind === 1) {
          // Another writer may have removed it.
          await calls.mutation("documents:patch", { id: row?.id, value: { group: `moved${count % 3}`, nested: { rank: -count } } }).catch(() => undefined);
        } else {
          const [first] = rows.splice(count % rows.length, 1);
          await calls.mutation("documents:remove", { id: first?.id }).catch(() => undefined);
        }
      }
      return count;
    };
    const writers = [write(0), write(1), write(2)];
    const pushed = await gated.convex(...PUSH);
    done = true;
    const counts = await Promise.all(writers);
    expect(pushed.code, pushed.output).toBe(0);
    expect(counts[0]).toBeGreaterThan(0);
    expect(pushed.output).toMatch(/Added table indexes:\n\s+\[\+\] rows\.by_group\s+group, _creationTime\n\s+\[\+\] rows\.by_group_and_n\s+group, n, _creationTime\n\s+\[\+\] rows\.by_rank\s+nested\.rank, _creationTime/);
    await expectComplete("by_group", (row) => [row.group]);
    await expectComplete("by_rank", (row) => [row.rank]);
    await expectComplete("by_group_and_n", (row) => [row.group, row.n]);
  });

  it("is queryable until the new code is live, and then gone", async () => {
    use(gated, "rows");
    const held = gate.hold(FINISH);
    const push = gated.convex(...PUSH);
    await held.arrived;
    expect(await problem("by_group")).toBeNull();
    held.open();
    const { code, output } = await push;
    expect(code, output).toBe(0);
    expect(output).toMatch(/Deleted table indexes:\n\s+\[-\] rows\.by_group\s/);
    expect(await problem("by_group")).toBe("Index rows.by_group not found.");
  });

  it("is not to be queried before its push is finished", async () => {
    use(gated, "enabled");
    const held = gate.hold(FINISH);
    const push = gated.convex(...PUSH);
    await held.arrived;
    expect(await problem("by_group")).toBe("Index rows.by_group is currently backfilling and not available to query yet.");
    held.open();
    expect((await push).code).toBe(0);
    await expectComplete("by_group", (row) => [row.group]);
  });

  it("changes its fields in one moment, when the push is finished", async () => {
    use(gated, "changed");
    const held = gate.hold(FINISH);
    const push = gated.convex(...PUSH);
    await held.arrived;
    await calls.mutation("documents:insert", { table: "rows", value: { n: 1e6, group: "between" } });
    expect(await calls.query("documents:find", { table: "rows", index: "by_group", range: [["eq", "group", "between"]] })).toHaveLength(1);
    held.open();
    const { code, output } = await push;
    expect(code, output).toBe(0);
    expect(output).toMatch(/\[-\] rows\.by_group\s+group, _creationTime/);
    expect(output).toMatch(/\[\+\] rows\.by_group\s+n, _creationTime/);
    expect(await calls.query("documents:find", { table: "rows", index: "by_group", range: [["eq", "n", 1e6]] })).toHaveLength(1);
    await expectComplete("by_group", (row) => [row.n]);
  });

  it("is staged, built, enabled without building it again, staged again and enabled again", { timeout: 120_000 }, async () => {
    use(gated, "staged");
    const staged = await gated.convex(...PUSH);
    expect(staged.code, staged.output).toBe(0);
    expect(staged.output).toMatch(/Added staged table indexes:\n\s+\[\+\] rows\.by_group\s+group, _creationTime\s+\(staged\)/);
    const notYet = "Index rows.by_group is currently staged and not available to query until it is enabled.";
    expect(await problem("by_group")).toBe(notYet);
    await calls.mutation("documents:insert", { table: "rows", value: { n: 5, group: "while staged" } });

    use(gated, "enabled");
    const enabled = await gated.convex(...PUSH);
    expect(enabled.code, enabled.output).toBe(0);
    expect(enabled.output).toMatch(/These indexes are now enabled:\n\s+(\[\*\] )?rows\.by_group\s+group, _creationTime/);
    await expectComplete("by_group", (row) => [row.group]);

    use(gated, "staged");
    const disabled = await gated.convex(...PUSH);
    expect(disabled.output).toMatch(/These indexes are now staged:\n\s+(\[\*\] )?rows\.by_group\s+group, _creationTime/);
    expect(await problem("by_group")).toBe(notYet);
    await calls.mutation("documents:insert", { table: "rows", value: { n: 6, group: "while staged again" } });

    use(gated, "enabled");
    expect((await gated.convex(...PUSH)).code).toBe(0);
    const evaluations = gate.answers(EVALUATE) as { componentSchemaEvaluations: Record<string, { indexes: unknown[] }> }[];
    expect(evaluations.at(-1)?.componentSchemaEvaluations[""]?.indexes).toMatchObject([{ name: "rows.by_group", change: "enabled", needsBackfill: false, staged: false }]);
    await expectComplete("by_group", (row) => [row.group]);

    use(gated, "rows");
    expect((await gated.convex(...PUSH)).code).toBe(0);
    expect(await problem("by_group")).toBe("Index rows.by_group not found.");
  });

  it("is built to its end when the engine is killed in the middle", { timeout: 180_000 }, async () => {
    use(gated, "indexed");
    const started = gate.answered(START);
    const push = gated.convex(...PUSH);
    await started;
    server.killEngine();
    await server.answering();
    server.killEngine();
    await server.answering();
    const { code, output } = await push;
    expect(code, output).toBe(0);
    await expectComplete("by_group", (row) => [row.group]);
    await expectComplete("by_rank", (row) => [row.rank]);
  });

  it("of a large table is not deleted by `deploy` unless told to", async () => {
    use(gated, "rows");
    gated.env.CONVEX_MIN_DOCUMENTS_FOR_INDEX_DELETE_WARNING = "1000";
    const refused = await gated.convex(...DEPLOY);
    expect(refused.code).toBe(1);
    expect(refused.output).toMatch(/rows\.by_group/);
    expect(await problem("by_group")).toBeNull();
    const told = await gated.convex(...DEPLOY, "--skip-large-indexes-check");
    expect(told.code, told.output).toBe(0);
    expect(await problem("by_group")).toBe("Index rows.by_group not found.");
  });
});

describe("the order of an index", () => {
  beforeAll(async () => {
    use(app, "shapes");
    await app.push();
  });

  async function values(args: Record<string, Value>): Promise<unknown[]> {
    const rows = await calls.query<Record<string, unknown>[]>("documents:find", { table: "shapes", ...args });
    return rows.map(({ _id, _creationTime, ...rest }) => rest);
  }

  it("is that of the values, with missing fields first and equal ones by time", async () => {
    const sorted = [{}, { x: null }, { x: 3n }, { x: -1 }, { x: -0 }, { x: 0 }, { x: NaN }, { x: false }, { x: "" }, { x: "\uFFFD" }, { x: "😀" }, { x: new ArrayBuffer(1) }, { x: [] }, { x: {} }] as Record<string, Value>[];
    const shuffled = sorted.map((_, n) => sorted[(n * 5 + 3) % sorted.length] ?? {});
    await calls.mutation("documents:insertMany", { table: "shapes", values: shuffled });
    await calls.mutation("documents:insertMany", { table: "shapes", values: [{ x: 0, meta: "later" }, { x: 0, meta: "last" }] });
    const tied = sorted.flatMap((value) => (Object.is(value.x, 0) ? [value, { x: 0, meta: "later" }, { x: 0, meta: "last" }] : [value]));
    expect(await values({ index: "by_x" })).toEqual(tied);
    expect(await values({ index: "by_x", order: "desc" })).toEqual([...tied].reverse());
    expect(await values({ index: "by_x", range: [["eq", "x", 0]] })).toHaveLength(3);
    expect(await values({ index: "by_x", range: [["gt", "x", null], ["lt", "x", 0]] })).toEqual([{ x: 3n }, { x: -1 }, { x: -0 }]);
    expect(await values({ index: "by_x", range: [["eq", "x"]] })).toEqual([{}]);
    expect(await values({ index: "by_x", range: [["gt", "x"]] })).toHaveLength(tied.length - 1);
    expect(await values({})).toEqual([...shuffled, { x: 0, meta: "later" }, { x: 0, meta: "last" }]);
    expect(await values({ index: "by_creation_time", order: "desc" })).toEqual(await values({ order: "desc" }));
    const byId = await calls.query<{ _id: string }[]>("documents:find", { table: "shapes", index: "by_id" });
    expect(byId.map((row) => row._id)).toEqual(byId.map((row) => row._id).sort());
  });

  it("takes a path through anything but an object for a missing field", async () => {
    const missing = [{ meta: null }, { meta: 5 }, { meta: {} }, { meta: [{ rank: 1 }] }] as Value[];
    const before = await values({ index: "by_rank", range: [["eq", "meta.rank"]] });
    await calls.mutation("documents:insertMany", { table: "shapes", values: [...missing, { meta: { rank: null } }, { meta: { rank: { deep: 1 } } }] });
    expect(await values({ index: "by_rank", range: [["eq", "meta.rank"]] })).toEqual([...before, ...missing]);
    expect(await values({ index: "by_rank", range: [["eq", "meta.rank", null]] })).toEqual([{ meta: { rank: null } }]);
    expect(await values({ index: "by_rank", range: [["eq", "meta.rank", { deep: 1 }]] })).toHaveLength(1);
  });

  it("has rows with long keys", async () => {
    const long = "k".repeat(300_000);
    await calls.mutation("documents:insertMany", { table: "shapes", values: [{ x: `${long}b` }, { x: `${long}a` }, { x: long }] });
    const found = await values({ index: "by_x", range: [["gte", "x", long], ["lt", "x", `${long}c`]] });
    expect(found.map((row) => (row as { x: string }).x.slice(long.length))).toEqual(["", "a", "b"]);
  });
});

describe("an index that is not there", () => {
  it("is named in the error, also for a table that does not exist; a scan of such a table finds nothing", async () => {
    expect(await calls.query("documents:attemptFind", { table: "shapes", index: "by_y" })).toBe("Index shapes.by_y not found.");
    expect(await calls.query("documents:attemptFind", { table: "nowhere", index: "by_y" })).toBe("Index nowhere.by_y not found.");
    expect(await calls.query("documents:find", { table: "nowhere" })).toEqual([]);
  });
});
