import { cpSync } from "node:fs";
import { join } from "node:path";
import type { Value } from "convex/values";
import { beforeAll, describe, expect, it } from "vitest";
import { runApp } from "../src/running-app.ts";


const { app, calls } = await runApp("schema", { isPushed: false });

/** Puts one of the app's schemas in its place. */
function use(schema: string, target = app): void {
  cpSync(join(target.dir, `schemas/${schema}.ts`), join(target.dir, "convex/schema.ts"));
}

function mismatch(value: string, validator: string, path = ".x"): string {
  return `Value does not match validator.\nPath: ${path}\nValue: ${value}\nValidator: ${validator}`;
}

function noLiteral(value: string, validator: string): string {
  return `\`${value}\` does not match literal validator \`${validator}\`.Path: .x`;
}

describe("documents of a pushed schema", () => {
  let stringId: string;
  let jobId: string;

  beforeAll(async () => {
    use("kinds");
    await app.push();
    stringId = await calls.mutation("documents:insert", { table: "string", value: { x: "s" } });
    jobId = await calls.mutation("documents:schedule");
  });

  async function refusal(table: string, value: Value): Promise<string | null> {
    const text = await calls.mutation<string | null>("documents:attempt", { write: "insert", table, value });
    const prefix = `Failed to insert or update a document in table "${table}" because it does not match the schema: `;
    if (text === null) {
      return null;
    }
    expect(text.slice(0, prefix.length)).toBe(prefix);
    return text.slice(prefix.length);
  }

  const buffer = new Uint8Array([1, 2]).buffer;

  it.each<[string, Value[], [Value, string][]]>([
    ["null", [null], [[0, mismatch("0.0", "v.null()")]]],
    ["number", [0, -0, 1.5, NaN, Infinity, -Infinity, 1e300], [[1n, mismatch("1", "v.float64()")], ["1", mismatch('"1"', "v.float64()")], [null, mismatch("null", "v.float64()")]]],
    ["int64", [0n, 2n ** 63n - 1n, -(2n ** 63n)], [[1, mismatch("1.0", "v.int64()")], [NaN, mismatch("NaN", "v.int64()")]]],
    ["commitTs", [5n], [[5, mismatch("5.0", "v.commitTs()")]]],
    ["boolean", [true, false], [[1, mismatch("1.0", "v.boolean()")], ["true", mismatch('"true"', "v.boolean()")]]],
    ["string", ["", "ü😀\u0000"], [[1e21, mismatch("1e21", "v.string()")], [-Infinity, mismatch("-inf", "v.string()")], [buffer, mismatch('b"AQI="', "v.string()")], [[1, "x"], mismatch('[1.0, "x"]', "v.string()")]]],
    ["bytes", [new ArrayBuffer(0), buffer], [["AQI=", mismatch('"AQI="', "v.bytes()")]]],
    ["anything", [null, 0, 1n, "s", buffer, [], {}, { deep: [{ er: 1n }] }], []],
    ["literalString", ["on"], [["off", noLiteral('"off"', 'v.literal("on")')], [1, noLiteral("1.0", 'v.literal("on")')]]],
    ["literalNumber", [1], [[1n, noLiteral("1", "v.literal(1.0)")], [2, noLiteral("2.0", "v.literal(1.0)")]]],
    ["literalInt64", [2n], [[2, noLiteral("2.0", "v.literal(<bigint>)")], [3n, noLiteral("3", "v.literal(<bigint>)")]]],
    ["literalBoolean", [true], [[false, noLiteral("false", "v.literal(true)")]]],
    ["array", [[], [1, 2]], [[[1, "x"], mismatch('"x"', "v.float64()", ".x[1]")], [{}, mismatch("{}", "v.array(v.float64())")]]],
    ["record", [{}, { a: 1, "any key": 2 }], [[{ a: 1, b: "x" }, mismatch('"x"', "v.float64()", ".x.values()")], [[], mismatch("[]", "v.record(v.string(), v.float64())")]]],
    ["recordOfIds", [{}], [[{ a: true }, mismatch('"a"', 'v.id("string")', ".x.keys()")]]],
    [
      "object",
      [{ a: "x" }, { a: "x", b: 1 }],
      [
        [{}, "Object is missing the required field `a`. Consider wrapping the field validator in `v.optional(...)` if this is expected.\nPath: .x\nObject: {}\nValidator: v.object({a: v.string(), b: v.optional(v.float64())})"],
        [{ a: "x", c: 1 }, 'Object contains extra field `c` that is not in the validator.\nPath: .x\nObject: {a: "x", c: 1.0}\nValidator: v.object({a: v.string(), b: v.optional(v.float64())})'],
        [{ a: "x", b: null }, mismatch("null", "v.float64()", ".x.b")],
      ],
    ],
    ["union", ["s", null], [[1, mismatch("1.0", "v.union(v.string(), v.null())")]]],
    ["unionOfOne", ["s"], [[1, mismatch("1.0", "v.string()")]]],
    ["never", [], [[null, mismatch("null", "v.union()")]]],
    ["optional", ["s"], [[null, mismatch("null", "v.string()")]]],
    ["deep", [[{ y: { k: { z: "z" } } }]], [[[{ y: {} }, { y: { k: { z: 1 } } }], "`1.0` does not match literal validator `v.literal(\"z\")`.Path: .x[1].y.values().z"]]],
  ])("of table %s are accepted or refused with the exact text", async (table, accepted, refused) => {
    for (const x of accepted) {
      const id = await calls.mutation<string>("documents:insert", { table, value: { x } });
      expect(await calls.query("documents:get", { id })).toMatchObject({ x });
    }
    const rows = await calls.query<unknown[]>("documents:find", { table });
    for (const [x, text] of refused) {
      expect(await refusal(table, { x })).toBe(text);
    }
    expect(await calls.query<unknown[]>("documents:find", { table }), "a refused write leaves nothing behind").toHaveLength(rows.length);
  });

  it("name the first missing or extra field of the document itself", async () => {
    expect(await refusal("string", {})).toBe(
      "Object is missing the required field `x`. Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\nObject: {}\nValidator: v.object({x: v.string()})",
    );
    expect(await refusal("string", { x: "s", y: 1 })).toBe(
      'Object contains extra field `y` that is not in the validator.\n\nObject: {x: "s", y: 1.0}\nValidator: v.object({x: v.string()})',
    );
    expect(await refusal("optional", {})).toBeNull();
  });

  it("hold ids of the right table", async () => {
    expect(await refusal("id", { x: stringId })).toBeNull();
    expect(await refusal("recordOfIds", { x: { [stringId]: true } })).toBeNull();
    const other = await calls.mutation<string>("documents:insert", { table: "number", value: { x: 1 } });
    expect(await refusal("id", { x: other })).toBe(`Found ID "${other}" from table \`number\`, which does not match the table name in validator \`v.id("string")\`.Path: .x`);
    expect(await refusal("id", { x: "nonsense" })).toBe(mismatch('"nonsense"', 'v.id("string")'));
    expect(await refusal("id", { x: 5 })).toBe(mismatch("5.0", 'v.id("string")'));
    // A deleted document's id is an id all the same.
    await calls.mutation("documents:remove", { id: other });
    const fromSystem = `Found ID "${jobId}" from a system table, which does not match the table name in validator `;
    expect(await refusal("id", { x: jobId })).toBe(`${fromSystem}\`v.id("string")\`.Path: .x`);
    expect(await refusal("idOfFile", { x: jobId })).toBe(`${fromSystem}\`v.id("_storage")\`.Path: .x`);
    expect(await refusal("idOfJob", { x: jobId })).toBeNull();
    expect(await refusal("idOfJob", { x: stringId })).toBe(`Found ID "${stringId}" from table \`string\`, which does not match the table name in validator \`v.id("_scheduled_functions")\`.Path: .x`);
  });

  it("are one of the variants of a table", async () => {
    expect(await refusal("variants", { kind: "a", a: "x" })).toBeNull();
    expect(await refusal("variants", { kind: "b", b: 1 })).toBeNull();
    const validator = 'v.union(v.object({a: v.string(), kind: v.literal("a")}), v.object({b: v.float64(), kind: v.literal("b")}))';
    expect(await refusal("variants", { kind: "a", b: 1 })).toBe(`Value does not match validator.\n\nValue: {b: 1.0, kind: "a"}\nValidator: ${validator}`);
  });

  it("may be anything in a table of v.any(), and in one that the schema does not name", async () => {
    expect(await refusal("loose", { whatever: [1n] })).toBeNull();
    expect(await refusal("unnamed", { whatever: [1n] })).toBeNull();
  });

  it("are checked as a whole by patch and replace, and keep what they were", async () => {
    const id = await calls.mutation<string>("documents:insert", { table: "object", value: { x: { a: "x" } } });
    const expected = 'Failed to insert or update a document in table "object" because it does not match the schema: ';
    expect(await calls.mutation("documents:attempt", { write: "patch", id, value: { x: { b: 1 } } })).toContain(`${expected}Object is missing the required field \`a\``);
    expect(await calls.mutation("documents:attempt", { write: "patch", id, value: { extra: 1 } })).toContain(`${expected}Object contains extra field \`extra\``);
    expect(await calls.mutation("documents:attempt", { write: "replace", id, value: {} })).toContain(`${expected}Object is missing the required field \`x\``);
    expect(await calls.query("documents:get", { id })).toMatchObject({ x: { a: "x" } });
    expect(await calls.mutation("documents:attempt", { write: "patch", id, value: { x: { a: "y", b: 2 } } })).toBeNull();
  });

  it("fail an uncaught write with the same text for the client", async () => {
    const text = await calls.failure(calls.mutation("documents:insert", { table: "number", value: { x: "s" } }));
    expect(text).toMatch(
      /^\[Request ID: [0-9a-f]{16}\] Server Error\nUncaught Error: Failed to insert or update a document in table "number" because it does not match the schema: Value does not match validator\.\nPath: \.x\nValue: "s"\nValidator: v\.float64\(\)\n/,
    );
  });

  it("are in the tables of the schema, which exist before the first document", async () => {
    const tables = (await app.convex("data")).stdout;
    expect(tables).toContain("recordOfIds");
    expect(await calls.query("documents:normalize", { table: "recordOfIds", id: stringId })).toBeNull();
    expect(await calls.query("documents:normalize", { table: "string", id: stringId })).toBe(stringId);
  });

  it("are not checked without schemaValidation, though its indexes work", async () => {
    use("unchecked");
    await app.push();
    await calls.mutation("documents:insert", { table: "string", value: { x: 5, y: "extra" } });
    await calls.mutation("documents:insert", { table: "null", value: {} });
    expect(await calls.query("documents:find", { table: "string", index: "by_x", range: [["eq", "x", 5]] })).toMatchObject([{ x: 5, y: "extra" }]);
    // Switching the checks on again finds what came in meanwhile.
    use("kinds");
    const failed = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(failed.code).toBe(1);
    expect(failed.output).toContain("Schema validation failed.");
    expect(failed.output).toMatch(/Document with ID "\w+" in table "(string|null)" does not match the schema: Object (contains extra field `y`|is missing the required field `x`)/);
    expect(await refusal("string", { x: 6 }), "the old schema stays").toBeNull();
  });
});
