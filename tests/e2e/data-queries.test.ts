/** Queries: ranges, filters, order, how far they read, and what their mistakes are called. */

import { ConvexHttpClient } from "convex/browser";
import { getDocumentSize, type Value } from "convex/values";
import { afterAll, describe, expect, it, vi } from "vitest";

import { api } from "../apps/data/convex/_generated/api.js";
import { failureOf } from "../src/failure.ts";
import { runApp } from "../src/running-app.ts";
import { eventually as waitFor } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

// Megabytes go back and forth, perhaps on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

async function eventually<T>(what: string, check: () => T | undefined | Promise<T | undefined>): Promise<T> {
  return await waitFor(what, check, 120_000);
}

const { server } = await runApp("data");
const http = new ConvexHttpClient(server.url, { logger: false });
const live = new WatchedClient(server, { varying: ["run"] });

afterAll(async () => {
  await live.close();
});

interface Item {
  _id: string;
  _creationTime: number;
  n: number;
}

interface Shape {
  table: string;
  index?: string;
  range?: unknown[][];
  filter?: unknown;
  order?: "asc" | "desc";
  take?: number;
  first?: boolean;
  unique?: boolean;
  until?: number;
}

async function find(shape: Shape): Promise<Item[]> {
  return (await http.query(api.find.rows, shape)) as Item[];
}

async function numbers(shape: Shape): Promise<number[]> {
  return (await find(shape)).map((row) => row.n);
}

async function fails(shape: Shape): Promise<string> {
  return await http.query(api.find.caught, shape);
}

async function fill(group: string, list: number[]): Promise<string[]> {
  return await http.mutation(api.rows.insertMany, { table: "items", values: list.map((n) => ({ group, n })) });
}

/** Host calls of a query, without the client package's checks: the answers, or what failed. */
async function host(...calls: { op: string; args: unknown; sync?: boolean }[]): Promise<string[]> {
  const replies = await http.query(api.raw.inQuery, { calls: calls.map((call) => ({ ...call, args: typeof call.args === "string" ? call.args : JSON.stringify(call.args) })) });
  return replies.map((reply) => reply.error ?? `no error: ${reply.reply ?? ""}`);
}

async function stream(query: unknown): Promise<string> {
  const [opened, first] = await host({ op: "1.0/queryStream", args: { query }, sync: true }, { op: "1.0/queryStreamNext", args: { queryId: 0 } });
  return opened?.startsWith("no error") === true ? (first ?? "") : (opened ?? "");
}

const UNDEFINED = "<undefined>";

describe("index ranges", () => {
  it("may bound each field of the index, with all operators and in any order of the equalities", async () => {
    await fill("range", [1, 2, 3, 4, 5]);
    const ask = async (...range: unknown[][]): Promise<number[]> => await numbers({ table: "items", index: "by_group_n", range: [["eq", "group", "range"], ...range] });
    expect(await ask()).toEqual([1, 2, 3, 4, 5]);
    expect(await ask(["eq", "n", 3])).toEqual([3]);
    expect(await ask(["gt", "n", 3])).toEqual([4, 5]);
    expect(await ask(["gte", "n", 3])).toEqual([3, 4, 5]);
    expect(await ask(["lt", "n", 3])).toEqual([1, 2]);
    expect(await ask(["lte", "n", 3])).toEqual([1, 2, 3]);
    expect(await ask(["gt", "n", 1], ["lte", "n", 4])).toEqual([2, 3, 4]);
    // The server does not mind that a bound is written first.
    const query = (range: unknown[]): unknown => ({ source: { type: "IndexRange", indexName: "items.by_group_n", range, order: null }, operators: [] });
    const eq = (fieldPath: string, value: unknown): unknown => ({ type: "Eq", fieldPath, value });
    expect(await stream(query([{ type: "Gt", fieldPath: "n", value: 4 }, eq("group", "range")]))).toContain('"n":5');
    expect(await stream(query([eq("n", 2), eq("group", "range")]))).toContain('"n":2');
    // A contradiction is empty.
    expect(await ask(["gt", "n", 5], ["lt", "n", 3])).toEqual([]);
    expect(await ask(["gt", "n", 3], ["lt", "n", 3])).toEqual([]);
    expect(await ask(["gte", "n", 3], ["lte", "n", 3])).toEqual([3]);
  });

  it("go on to the creation time and the id", async () => {
    await http.mutation(api.rows.insertMany, { table: "items", values: [1, 1, 1].map((n) => ({ group: "ties", n })) });
    const range = [["eq", "group", "ties"], ["eq", "n", 1]];
    const rows = await find({ table: "items", index: "by_group_n", range });
    expect(rows.map((row) => row._creationTime)).toEqual(rows.map((row) => row._creationTime).toSorted((a, b) => a - b));
    const later = await find({ table: "items", index: "by_group_n", range: [...range, ["gt", "_creationTime", rows[0]?._creationTime]] });
    expect(later).toEqual(rows.slice(1));
    const exact = await find({ table: "items", index: "by_group_n", range: [...range, ["eq", "_creationTime", rows[1]?._creationTime], ["gte", "_id", rows[1]?._id]] });
    expect(exact).toEqual(rows.slice(1, 2));
    expect(await find({ table: "items", index: "by_group_n", range, order: "desc" })).toEqual(rows.toReversed());
    expect(await find({ table: "items", index: "by_id", range: [["eq", "_id", rows[2]?._id]] })).toEqual(rows.slice(2));
    expect(await find({ table: "items", index: "by_creation_time", range: [["gte", "_creationTime", rows[0]?._creationTime], ["lt", "_creationTime", rows[2]?._creationTime]] })).toEqual(rows.slice(0, 2));
    expect(await find({ table: "items", filter: ["eq", ["field", "group"], "ties"], order: "desc" })).toEqual(rows.toReversed());
  });

  it("compare across types", async () => {
    const xs: (Value | undefined)[] = [undefined, null, 3n, -1, 0, NaN, false, "", [], {}];
    await http.mutation(api.rows.insertMany, { table: "values", values: xs.map((x, n) => (x === undefined ? { set: "types", n } : { set: "types", n, x })) });
    const ask = async (method: string, value: unknown): Promise<number[]> =>
      await numbers({ table: "values", index: "by_set_x", range: [["eq", "set", "types"], [method, "x", value]] });
    expect(await ask("gte", UNDEFINED)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await ask("gt", UNDEFINED)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await ask("eq", UNDEFINED)).toEqual([0]);
    expect(await ask("gt", null)).toEqual([2, 3, 4, 5, 6, 7, 8, 9]);
    expect(await ask("lt", 5)).toEqual([0, 1, 2, 3, 4]);
    expect(await ask("lte", 2n ** 63n - 1n)).toEqual([0, 1, 2]);
    expect(await ask("eq", NaN)).toEqual([5]);
    expect(await ask("eq", -0)).toEqual([]);
    expect(await ask("eq", 0)).toEqual([4]);
  });

  it("follow a dotted path through objects only", async () => {
    const metas: (Value | undefined)[] = [undefined, null, 5, {}, [{ rank: 1 }], { rank: null }, { rank: 2 }];
    await http.mutation(api.rows.insertMany, { table: "nested", values: metas.map((meta) => (meta === undefined ? { set: "meta" } : { set: "meta", meta })) });
    const ask = async (...range: unknown[][]): Promise<unknown[]> =>
      (await find({ table: "nested", index: "by_set_rank", range: [["eq", "set", "meta"], ...range] })).map((row) => (row as unknown as { meta: unknown }).meta);
    expect(await ask(["eq", "meta.rank", UNDEFINED])).toEqual(metas.slice(0, 5));
    expect(await ask(["eq", "meta.rank", null])).toEqual([{ rank: null }]);
    expect(await ask(["gt", "meta.rank", null])).toEqual([{ rank: 2 }]);
    expect(await ask()).toEqual(metas);
  });

  it("say what is wrong with them", async () => {
    const wrong = async (...range: unknown[][]): Promise<string> => await fails({ table: "items", index: "by_group_n", range });
    const more = "https://docs.convex.dev/using/indexes";
    expect(await wrong(["eq", "n", 1])).toBe(
      `Tried to query index items.by_group_n but the query didn't use the index fields in order.\nIndex fields: ["group", "n", "_creationTime"]\nQuery fields: ["n"]\nFirst incorrect field: "n"\nFor more information see ${more}.`,
    );
    expect(await wrong(["eq", "group", "a"], ["gt", "_creationTime", 1])).toBe(
      `Tried to query index items.by_group_n but the query didn't use the index fields in order.\nIndex fields: ["group", "n", "_creationTime"]\nQuery fields: ["group", "_creationTime"]\nFirst incorrect field: "_creationTime"\nFor more information see ${more}.`,
    );
    expect(await wrong(["eq", "pad", 1])).toBe(
      `The index range included a comparison with "pad", but items.by_group_n with fields ["group", "n", "_creationTime"] doesn't index this field. For more information see ${more}.`,
    );
    expect(await wrong(["gt", "group", "a"], ["lt", "n", 5])).toBe(
      `Upper and lower bounds in \`range\` can only be applied to a single index field. This query against index items.by_group_n attempted to set a range bound on both "group" and "n". Consider using \`filter\` instead. See ${more} for more info.`,
    );
    const twice = (what: string, added: string): string => `Already defined ${what} bound in index range. Can't add ${added}.`;
    expect(await wrong(["eq", "group", "a"], ["eq", "group", "a"])).toBe(twice("equality", '"group" == "a"'));
    expect(await wrong(["eq", "group", "a"], ["lt", "group", 1])).toBe(twice("equality", '"group" < 1.0'));
    expect(await wrong(["gt", "group", "a"], ["eq", "group", 1n])).toBe(twice("inequality", '"group" == 1'));
    expect(await wrong(["gt", "group", "a"], ["gte", "group", UNDEFINED])).toBe(twice("lower", '"group" >= undefined'));
    expect(await wrong(["lte", "group", "a"], ["lt", "group", null])).toBe(twice("upper", '"group" < null'));
    expect((await wrong(["gt", "group", 1], ["gt", "group", "x".repeat(1_000_000)])).length).toBeLessThan(10_000);
  });

  it("need an index that exists", async () => {
    expect(await fails({ table: "items", index: "nope" })).toBe("Index items.nope not found.");
    expect(await fails({ table: "nowhere", index: "by_x" })).toBe("Index nowhere.by_x not found.");
    expect(await find({ table: "nowhere" })).toEqual([]);
    for (const index of ["by_id", "by_creation_time"]) {
      expect(await find({ table: "nowhere", index })).toEqual([]);
    }
    // The error stays one when the query reads nothing.
    expect(await fails({ table: "items", index: "nope", take: 0 })).toBe("Index items.nope not found.");
  });
});

describe("the JSON of a query", () => {
  it("is refused with the argument's name when it is malformed", async () => {
    const scan = { type: "FullTableScan", tableName: "items", order: null };
    const range = (extra: object): unknown => ({ source: { type: "IndexRange", indexName: "items.by_group_n", range: [], order: null, ...extra }, operators: [] });
    const malformed: unknown[] = [
      {},
      { source: scan },
      { operators: [] },
      { source: { type: "Nope" }, operators: [] },
      { source: { ...scan, tableName: "a-b" }, operators: [] },
      { source: { ...scan, order: "up" }, operators: [] },
      { source: scan, operators: [{}] },
      { source: scan, operators: [{ filter: { $literal: true }, limit: 1 }] },
      { source: scan, operators: [{ limit: -1 }] },
      { source: scan, operators: [{ limit: 1.5 }] },
      { source: scan, operators: [{ limit: null }] },
      { source: scan, operators: [{ map: 1 }] },
      { source: scan, operators: [{ filter: { $nope: [] } }] },
      { source: scan, operators: [{ filter: { $eq: [{ $literal: 1 }] } }] },
      { source: scan, operators: [{ filter: { $field: "a-b" } }] },
      { source: scan, operators: [{ filter: { $field: "a..b" } }] },
      { source: scan, operators: [{ filter: { $literal: { $nope: 1 } } }] },
      { source: scan, operators: [{ filter: 5 }] },
      { source: scan, operators: new Array(257).fill({ limit: 1 }) },
      range({ indexName: "items" }),
      range({ indexName: "items.by-x" }),
      range({ range: [{ type: "Like", fieldPath: "n", value: 1 }] }),
      range({ range: [{ type: "Eq", fieldPath: "n" }] }),
      range({ range: [{ type: "Eq", fieldPath: "", value: 1 }] }),
      range({ range: {} }),
    ];
    for (const query of malformed) {
      const text = JSON.stringify(query).slice(0, 200);
      expect(await stream(query), text).toMatch(/^Invalid argument `query` for `queryStream`: \S/);
      const [page] = await host({ op: "1.0/queryPage", args: { query, cursor: null, pageSize: 1 } });
      expect(page, text).toMatch(/^Invalid argument `query` for `queryPage`: \S/);
    }
    const nested = (levels: number): unknown => Array.from({ length: levels }).reduce<unknown>((inner) => ({ $not: inner }), { $literal: true });
    expect(await stream({ source: scan, operators: [{ filter: nested(1000) }] })).toMatch(/^(Invalid argument `query`|Received invalid json)/);
    expect(await stream("x".repeat(1_000_000))).toSatisfy((text: string) => text.length < 10_000);
    expect(await stream({ source: { type: "x".repeat(1_000_000) }, operators: [] })).toSatisfy((text: string) => text.length < 10_000);
    // What the client never sends but the format allows.
    expect(await stream({ source: scan, operators: new Array(256).fill({ limit: 0 }) })).toBe('no error: {"value":null,"done":true}');
    expect(await stream({ source: { type: "FullTableScan", tableName: "items" }, operators: [{ limit: 0 }] })).toBe('no error: {"value":null,"done":true}');
  });

  it("opens streams with numbers of their own, which end once and may be closed twice", async () => {
    const query = { source: { type: "FullTableScan", tableName: "nowhere", order: null }, operators: [] };
    expect(
      await host(
        { op: "1.0/queryStream", args: { query }, sync: true },
        { op: "1.0/queryStream", args: { query, version: "1.48.0" }, sync: true },
        { op: "1.0/queryStreamNext", args: { queryId: 1 } },
        { op: "1.0/queryStreamNext", args: { queryId: 1 } },
        { op: "1.0/queryCleanup", args: { queryId: 1 }, sync: true },
        { op: "1.0/queryCleanup", args: { queryId: 1 }, sync: true },
        { op: "1.0/queryCleanup", args: { queryId: 77 }, sync: true },
        { op: "1.0/queryStreamNext", args: { queryId: 1 } },
      ),
    ).toEqual([
      'no error: {"queryId":0}',
      'no error: {"queryId":1}',
      'no error: {"value":null,"done":true}',
      'no error: {"value":null,"done":true}',
      "no error: true",
      "no error: false",
      "no error: false",
      "in-progress query not found",
    ]);
    const [json, op, syncOp] = await host({ op: "1.0/get", args: "{" }, { op: "1.0/nothing", args: {} }, { op: "1.0/nothing", args: {}, sync: true });
    expect(json).toMatch(/^Received invalid json: /);
    expect([op, syncOp]).toEqual(["Unknown async operation 1.0/nothing", "Unknown operation 1.0/nothing"]);
  });
});

describe("filters", () => {
  const field = (name: string): unknown => ["field", name];

  it("have all operators", async () => {
    const rows: Value[] = [{ n: 0, x: 7n }, { n: 1, x: 7 }, { n: 2, x: "7" }, { n: 3 }, { n: 4, x: null }, { n: 5, x: { y: 1 } }, { n: 6, x: -0 }, { n: 7, x: 0 }, { n: 8, x: true }];
    await http.mutation(api.rows.insertMany, { table: "values", values: rows.map((row) => ({ set: "filter", ...(row as object) })) });
    const of = (condition: unknown): Shape => ({ table: "values", filter: ["and", ["eq", field("set"), "filter"], condition] });
    const ask = async (condition: unknown): Promise<number[]> => await numbers(of(condition));
    expect(await ask(["eq", field("x"), 7])).toEqual([1]);
    expect(await ask(["eq", field("x"), 7n])).toEqual([0]);
    expect(await ask(["neq", field("x"), 7])).toEqual([0, 2, 3, 4, 5, 6, 7, 8]);
    expect(await ask(["lt", field("x"), 5])).toEqual([0, 3, 4, 6, 7]);
    expect(await ask(["lte", field("x"), -0])).toEqual([0, 3, 4, 6]);
    expect(await ask(["gt", field("x"), 7])).toEqual([2, 5, 8]);
    expect(await ask(["gte", field("x"), 7])).toEqual([1, 2, 5, 8]);
    expect(await ask(["eq", field("x"), 0])).toEqual([7]);
    expect(await ask(["eq", field("x"), UNDEFINED])).toEqual([3]);
    expect(await ask(["eq", field("x.y"), 1])).toEqual([5]);
    expect(await ask(["eq", field(".x.y."), 1])).toEqual([5]);
    expect(await ask(["or", ["eq", field("x"), null], ["eq", field("x"), "7"]])).toEqual([2, 4]);
    expect(await ask(["not", ["gt", field("x"), UNDEFINED]])).toEqual([3]);
    expect(await ask(["or"])).toEqual([]);
    expect(await ask(["and"])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    expect(await ask(["eq", field("n"), ["add", 1, 2]])).toEqual([3]);
    expect(await ask(["eq", field("n"), ["sub", 1, -2]])).toEqual([3]);
    expect(await ask(["eq", field("n"), ["mul", 2, 2]])).toEqual([4]);
    expect(await ask(["eq", field("n"), ["div", 10, 2]])).toEqual([5]);
    expect(await ask(["eq", ["mod", field("n"), 4], 1])).toEqual([1, 5]);
    expect(await ask(["eq", ["neg", field("n")], -6])).toEqual([6]);
    expect(await ask(["eq", ["mod", -7, 4], -3])).toHaveLength(9);
    expect(await ask(["eq", ["mod", -7n, 4n], -3n])).toHaveLength(9);
    expect(await ask(["eq", ["div", -7n, 2n], -3n])).toHaveLength(9);
    expect(await ask(["eq", ["div", 5, 0], Infinity])).toHaveLength(9);
    expect(await ask(["eq", ["div", 0, 0], NaN])).toHaveLength(9);
    expect(await ask(["eq", ["neg", 0], -0])).toHaveLength(9);
    // Filters in a row.
    const chained = { source: { type: "FullTableScan", tableName: "values", order: null }, operators: [{ filter: { $eq: [{ $field: "set" }, { $literal: "filter" }] } }, { limit: 5 }, { filter: { $gt: [{ $field: "n" }, { $literal: 3 }] } }] };
    expect(await stream(chained)).toContain('"n":4');
  });

  it("fail with the values when types do not fit, but only at a row that is reached", async () => {
    await http.mutation(api.rows.insertMany, { table: "values", values: [{ set: "errors", n: 1, x: 5n }] });
    const evaluate = async (condition: unknown): Promise<string> => await fails({ table: "values", index: "by_set_x", range: [["eq", "set", "errors"]], filter: condition });
    const sum = (...expression: unknown[]): unknown => ["eq", expression, 0];
    const max = 2n ** 63n - 1n;
    const min = -(2n ** 63n);
    const errors: [unknown, string][] = [
      [sum("add", field("x"), 1.5), "Cannot add 5 (type Int64) and 1.5 (type Float64)"],
      [sum("sub", field("missing"), 1), "Cannot subtract undefined (type undefined) and 1.0 (type Float64)"],
      [sum("mul", "a", null), 'Cannot multiply "a" (type String) and null (type Null)'],
      [sum("div", true, { a: 1 }), "Cannot divide true (type Boolean) and {a: 1.0} (type Object)"],
      [sum("mod", new Uint8Array([1, 2]).buffer, 1n), 'Cannot mod b"AQI=" (type Bytes) and 1 (type Int64)'],
      [sum("div", 5n, 0n), "Cannot divide 5 by zero"],
      [sum("mod", 5n, 0n), "Cannot mod 5 by zero"],
      [sum("add", max, 1n), `Cannot add ${max} and 1: the result is out of range for Int64`],
      [sum("sub", min, 1n), `Cannot subtract ${min} and 1: the result is out of range for Int64`],
      [sum("mul", max, 2n), `Cannot multiply ${max} and 2: the result is out of range for Int64`],
      [sum("div", min, -1n), `Cannot divide ${min} and -1: the result is out of range for Int64`],
      [sum("neg", min), `Cannot negate ${min}: the result is out of range for Int64`],
      [sum("neg", "a"), 'Cannot negate "a" (type String)'],
      [field("x"), "Cannot use value 5 (type Int64) as a Boolean"],
      [field("missing"), "Cannot use value undefined (type undefined) as a Boolean"],
      [["and", true, 1], "Cannot use value 1.0 (type Float64) as a Boolean"],
      [["or", false, "x"], 'Cannot use value "x" (type String) as a Boolean'],
      [["not", null], "Cannot use value null (type Null) as a Boolean"],
    ];
    for (const [condition, text] of errors) {
      expect(await evaluate(condition), text).toBe(text);
    }
    expect((await evaluate(["neg", "x".repeat(1_000_000)])).length).toBeLessThan(10_000);
    // Short circuit.
    expect(await evaluate(["and", false, 1])).toBe("no error");
    expect(await evaluate(["or", true, sum("div", 5n, 0n)])).toBe("no error");
    // No row, no error.
    expect(await fails({ table: "nowhere", filter: field("x") })).toBe("no error");
    expect(await fails({ table: "values", index: "by_set_x", range: [["eq", "set", "nothing here"]], filter: 5 })).toBe("no error");
    // As an uncaught failure.
    expect(await failureOf(find({ table: "values", filter: field("set") }))).toMatch(/^Cannot use value ".*" \(type String\) as a Boolean$/);
  });
});

describe("reading", () => {
  it("has take, first, unique and count", async () => {
    const ids = await fill("ends", [1, 2, 3]);
    const all = { table: "items", index: "by_group_n", range: [["eq", "group", "ends"]] };
    const none = { ...all, range: [["eq", "group", "no such group"]] };
    expect(await numbers({ ...all, take: 0 })).toEqual([]);
    expect(await numbers({ ...all, take: 2 })).toEqual([1, 2]);
    expect(await numbers({ ...all, take: 2, order: "desc" })).toEqual([3, 2]);
    for (const take of [99, 2 ** 32, Number.MAX_SAFE_INTEGER, 2 ** 64, 1e300]) {
      expect(await numbers({ ...all, take })).toEqual([1, 2, 3]);
    }
    for (const take of [-1, 1.5, NaN, Infinity]) {
      expect(await fails({ ...all, take })).toContain("must be a non-negative integer");
    }
    expect(await http.query(api.find.rows, { ...all, first: true })).toMatchObject({ n: 1 });
    expect(await http.query(api.find.rows, { ...none, first: true })).toBeNull();
    expect(await http.query(api.find.rows, { ...none, unique: true })).toBeNull();
    expect(await http.query(api.find.rows, { ...all, range: [...all.range, ["eq", "n", 2]], unique: true })).toMatchObject({ _id: ids[1] });
    expect(await fails({ ...all, unique: true })).toBe(`unique() query returned more than one result from table items:\n [${ids[0] ?? ""}, ${ids[1] ?? ""}, ...]`);
    expect(await http.query(api.find.count, { table: "nowhere" })).toBe(0);
    expect(await http.query(api.find.count, { table: "_storage" })).toBe(0);
    expect(await http.query(api.find.count, { table: "items" })).toBe((await find({ table: "items" })).length);
  });

  it("costs nothing beyond the rows handed out; rejected rows do count", async () => {
    await fill("cost", [1, 2, 3, 4]);
    const all = { table: "items", index: "by_group_n", range: [["eq", "group", "cost"]] };
    const rows = await find(all);
    const bytes = (list: Item[]): number => list.reduce((sum, row) => sum + getDocumentSize(row as unknown as Record<string, Value>), 0);
    const measure = async (shape: object): Promise<[number, number]> => {
      const { bytes: used, documents } = await http.query(api.find.measured, { ...all, ...shape });
      return [documents, used];
    };
    expect(await measure({})).toEqual([4, bytes(rows)]);
    expect(await measure({ take: 0 })).toEqual([0, 0]);
    expect(await measure({ take: 2 })).toEqual([2, bytes(rows.slice(0, 2))]);
    expect(await measure({ first: true })).toEqual([1, bytes(rows.slice(0, 1))]);
    expect(await measure({ until: 3 })).toEqual([3, bytes(rows.slice(0, 3))]);
    expect(await measure({ filter: ["eq", ["field", "n"], 3], first: true })).toEqual([3, bytes(rows.slice(0, 3))]);
    expect(await measure({ filter: false })).toEqual([4, bytes(rows)]);
  });

  it("sees the mutation's own writes that fall ahead of its position", async () => {
    // Handed out 10; then 5 was put behind and 25 ahead, 20 moved to 40, and 30 was deleted.
    expect(await http.mutation(api.find.whileWriting, { group: "writing" })).toEqual([10, 20, 25, 40]);
    const range = [["eq", "group", "writing"]];
    expect(await numbers({ table: "items", index: "by_group_n", range })).toEqual([5, 10, 25, 40]);
  });
});

describe("what a query depends on", () => {
  /** Subscribes; tells how often the query has run. */
  async function watch(shape: Shape): Promise<{ runs: () => number; rows: () => number[]; stop: () => void }> {
    const runs = new Set<number>();
    let latest: number[] = [];
    const stop = live.onUpdate(api.find.stamped, shape, ({ found, run }) => {
      runs.add(run);
      latest = Array.isArray(found) ? (found as Item[]).map((row) => row.n) : [];
    });
    await eventually("the first result", () => (runs.size > 0 ? true : undefined));
    return { runs: () => runs.size, rows: () => latest, stop };
  }

  /** Waits until what was committed before has reached the client: the client's own mutation is answered after it. */
  async function settle(): Promise<void> {
    await live.mutation(api.rows.insert, { table: "free", value: {} });
  }

  it("ends at the last row handed out", async () => {
    const group = "depends";
    const all = { table: "items", index: "by_group_n", range: [["eq", "group", group]] };
    await fill(group, [10, 20, 30, 40]);
    const watched = {
      none: await watch({ ...all, take: 0 }),
      two: await watch({ ...all, take: 2 }),
      first: await watch({ ...all, first: true }),
      left: await watch({ ...all, until: 2 }),
      unique: await watch({ ...all, range: [...all.range, ["eq", "n", 10]], unique: true }),
      downwards: await watch({ ...all, take: 2, order: "desc" }),
      filtered: await watch({ ...all, filter: ["gte", ["field", "n"], 30], first: true }),
      all: await watch(all),
    };
    const runs = (): Record<string, number> => Object.fromEntries(Object.entries(watched).map(([name, query]) => [name, query.runs()]));
    const once = { none: 1, two: 1, first: 1, left: 1, unique: 1, downwards: 1, filtered: 1, all: 1 };
    expect(runs()).toEqual(once);
    // Behind the second row and before the third from the end: nobody but those who read on.
    await fill(group, [25]);
    await settle();
    expect(runs()).toEqual({ ...once, filtered: 2, all: 2 });
    // Behind everything.
    await fill(group, [50]);
    await settle();
    expect(runs()).toEqual({ ...once, downwards: 2, filtered: 2, all: 3 });
    // Between the first two.
    await fill(group, [15]);
    await settle();
    expect(runs()).toEqual({ ...once, two: 2, left: 2, downwards: 2, filtered: 3, all: 4 });
    expect(watched.two.rows()).toEqual([10, 15]);
    expect(watched.left.rows()).toEqual([10, 15]);
    expect(watched.downwards.rows()).toEqual([50, 40]);
    expect(watched.all.rows()).toEqual([10, 15, 20, 25, 30, 40, 50]);
    // Another group.
    await fill(`${group} not`, [10]);
    await settle();
    expect(runs()).toEqual({ ...once, two: 2, left: 2, downwards: 2, filtered: 3, all: 4 });
    for (const query of Object.values(watched)) {
      query.stop();
    }
  });

  it("includes what it looked for and did not find", async () => {
    const group = "absent";
    const empty = await watch({ table: "items", index: "by_group_n", range: [["eq", "group", group], ["gt", "n", 5], ["lte", "n", 10]] });
    const unique = await watch({ table: "items", index: "by_group_n", range: [["eq", "group", group], ["eq", "n", 7]], unique: true });
    const ended = await watch({ table: "items", index: "by_group_n", range: [["eq", "group", group], ["gte", "n", 100]], take: 5 });
    await fill(group, [5, 11]);
    await settle();
    expect([empty.runs(), unique.runs(), ended.runs()]).toEqual([1, 1, 1]);
    await fill(group, [10]);
    await settle();
    expect([empty.runs(), unique.runs(), ended.runs()]).toEqual([2, 1, 1]);
    await fill(group, [7, 1000]);
    await settle();
    expect([empty.runs(), unique.runs(), ended.runs()]).toEqual([3, 2, 2]);
    empty.stop();
    unique.stop();
    ended.stop();
  });

  it("does not change by a write that changes nothing", async () => {
    const [id] = await fill("same", [1]);
    const watched = await watch({ table: "items", index: "by_group_n", range: [["eq", "group", "same"]] });
    await http.mutation(api.rows.emptyWrites, { id: id as never });
    await settle();
    expect(watched.runs()).toBe(1);
    await http.mutation(api.rows.patch, { id: id ?? "", value: { n: 2 } });
    await settle();
    expect([watched.runs(), watched.rows()]).toEqual([2, [2]]);
    watched.stop();
  });
});
