/** Values: what goes in comes out, in order and within limits, and what must not go in says why. */

import { ConvexHttpClient } from "convex/browser";
import { compareValues, convexToJson, getConvexSize, getDocumentSize, type JSONValue, jsonToConvex, type Value } from "convex/values";
import { afterAll, describe, expect, it, vi } from "vitest";

import { api } from "../apps/data/convex/_generated/api.js";
import { failureOf } from "../src/failure.ts";
import { runApp } from "../src/running-app.ts";
import { WatchedClient } from "../src/watched-client.ts";

// Megabytes go back and forth, perhaps on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

const { server } = await runApp("data");
const http = new ConvexHttpClient(server.url, { logger: false });
const live = new WatchedClient(server);

afterAll(async () => {
  await live.close();
});

function bytes(...list: number[]): ArrayBuffer {
  return new Uint8Array(list).buffer;
}

/** The documented sample of the total order, ascending; `undefined` is a missing field. */
const ASCENDING: (Value | undefined)[] = [
  undefined,
  null,
  -(2n ** 63n),
  -5n,
  0n,
  7n,
  2n ** 63n - 1n,
  -Infinity,
  -1.5,
  -5e-324,
  -0,
  0,
  1e-300,
  2,
  1e300,
  Infinity,
  NaN,
  false,
  true,
  "",
  "A",
  "Z",
  "a",
  "a\0",
  "aa",
  "b",
  "é",
  "\uFFFD",
  "😀",
  bytes(),
  bytes(0),
  bytes(0, 0),
  bytes(1),
  bytes(255),
  [],
  [null],
  [null, null],
  [1],
  [1, 2],
  [[]],
  {},
  { "": 1 },
  { a: 1 },
  { a: 1, b: 0 },
  { a: 2 },
  { "a b": null },
  { b: 0 },
];

const VALUES = ASCENDING.filter((value): value is Value => value !== undefined);

/** Equality to the bit: 0 is not -0, NaN is itself, 1 is not 1n. */
function same(left: unknown, right: unknown): void {
  expect(left === undefined ? undefined : convexToJson(left as Value)).toEqual(right === undefined ? undefined : convexToJson(right as Value));
}

async function raw(path: string, body: string): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(`${server.url}${path}`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

/** Host calls without the client package's checks. */
async function host(op: string, args: unknown, sync?: boolean): Promise<string> {
  const text = typeof args === "string" ? args : JSON.stringify(args);
  const call = sync === undefined ? { op, args: text } : { op, args: text, sync };
  const [reply] = await http.mutation(api.raw.inMutation, { calls: [call] });
  return reply?.error ?? `no error: ${reply?.reply ?? ""}`;
}

async function insert(table: string, value: unknown): Promise<string> {
  return await http.mutation(api.rows.insert, { table, value });
}

async function get(id: string, table?: string): Promise<Record<string, Value> | null> {
  return (await http.query(api.rows.get, table === undefined ? { id } : { id, table })) as Record<string, Value> | null;
}

function nestedArray(levels: number): Value {
  let value: Value = 0;
  for (let level = 0; level < levels; level += 1) {
    value = [value];
  }
  return value;
}

describe("values", () => {
  it("go through arguments, results and documents unchanged, over HTTP and WebSocket", async () => {
    for (const client of [http, live]) {
      for (const value of VALUES) {
        same(await client.query(api.rows.echo, { value }), value);
        const id = await client.mutation(api.rows.insert, { table: "values", value: { set: "echo", x: value } });
        const row = (await client.query(api.rows.get, { id })) as { x: Value };
        same(row.x, value);
      }
      const all = Object.fromEntries(VALUES.map((value, n) => [`v${n}`, value]));
      same(await client.query(api.rows.echo, { value: all }), all);
      same(await client.query(api.rows.echo, { value: VALUES }), VALUES);
    }
  });

  it("have the documented encodings on the wire", async () => {
    const encodings: [string, string][] = [
      ['{"$integer":"AQAAAAAAAAA="}', '{"$integer":"AQAAAAAAAAA="}'],
      ['{"$integer":"//////////8="}', '{"$integer":"//////////8="}'],
      ['{"$integer":"/////////38="}', '{"$integer":"/////////38="}'],
      ['{"$integer":"AAAAAAAAAIA="}', '{"$integer":"AAAAAAAAAIA="}'],
      ['{"$float":"AAAAAAAAAIA="}', '{"$float":"AAAAAAAAAIA="}'],
      ['{"$float":"AAAAAAAA+H8="}', '{"$float":"AAAAAAAA+H8="}'],
      ['{"$float":"AAAAAAAA8H8="}', '{"$float":"AAAAAAAA8H8="}'],
      ['{"$float":"AAAAAAAA8P8="}', '{"$float":"AAAAAAAA8P8="}'],
      ['{"$bytes":"AQL/"}', '{"$bytes":"AQL/"}'],
      ['{"$bytes":""}', '{"$bytes":""}'],
      // Numbers are floats however they are written; a repeated name means its last value.
      ["3", "3"],
      ["3.0", "3"],
      ["-0", '{"$float":"AAAAAAAAAIA="}'],
      ["-0.0", '{"$float":"AAAAAAAAAIA="}'],
      ["9007199254740993", "9007199254740992"],
      ["18446744073709551616", "18446744073709552000"],
      ['{"a":1,"a":2}', '{"a":2}'],
      ['{"b":1,"a":2}', '{"a":2,"b":1}'],
      ['"\\ud83d\\ude00"', '"😀"'],
    ];
    for (const [sent, received] of encodings) {
      const { json } = await raw("/api/query", `{"path":"rows:echo","format":"convex_encoded_json","args":{"value":${sent}}}`);
      expect(json.status, sent).toBe("success");
      expect(json.value, sent).toEqual(JSON.parse(received));
    }
  });

  it("are refused with their reason where the encoding is not exact", async () => {
    const refused: [string, string][] = [
      ['{"$float":"AAAAAAAA8D8="}', "Float64 1.0 should be encoded as a number"],
      ['{"$float":"AAAA"}', "Float64 must be exactly eight bytes"],
      ['{"$integer":"AAAA"}', "Int64 must be exactly eight bytes"],
      ['{"$integer":"AQAAAAAAAAAA"}', "Int64 must be exactly eight bytes"],
      ['{"$integer":"AQAAAAAAAAA"}', "$integer must hold standard base64 with padding"],
      ['{"$integer":"AQAAAAAAAA-="}', "$integer must hold standard base64 with padding"],
      ['{"$integer":5}', "$integer must hold a base64 string"],
      ['{"$bytes":"A"}', "$bytes must hold standard base64 with padding"],
      ['{"$bytes":[1]}', "$bytes must hold a base64 string"],
      ['{"$undefined":null}', "undefined is not a valid value here"],
      ['[{"$undefined":null}]', "undefined is not a valid value here"],
      ['{"$commitTs":null}', "An unresolved commit timestamp is not allowed here"],
      ['{"$set":[]}', "Field name $set starts with '$', which is reserved."],
      ['{"$map":[]}', "Field name $map starts with '$', which is reserved."],
      ['{"$id":"x"}', "Field name $id starts with '$', which is reserved."],
      ['{"a":1,"$b":2}', "Field name $b starts with '$', which is reserved."],
      ['{"$integer":"AQAAAAAAAAA=","a":1}', "Field name $integer starts with '$', which is reserved."],
      ['{"é":1}', "Field name é has invalid character é: Field names can only contain non-control ASCII characters"],
      ['{"a\\n":1}', "Field name a\n has invalid character \n: Field names can only contain non-control ASCII characters"],
      [`{"${"x".repeat(1025)}":1}`, "Field name is too long (1025 > maximum 1024)"],
    ];
    for (const [sent, reason] of refused) {
      const { json } = await raw("/api/query", `{"path":"rows:echo","args":{"value":${sent}}}`);
      expect(json.status, sent).toBe("error");
      expect(json.errorMessage, sent).toContain(`Invalid arguments for rows.js:echo: ${reason}`);
    }
    // Tags count only in objects of one field, and deeper ones are found as well.
    const { json } = await raw("/api/query", '{"path":"rows:echo","args":{"value":{"a":[{"$float":"AAAAAAAA8D8="}]}}}');
    expect(json.errorMessage).toContain("Float64 1.0 should be encoded as a number");
  });

  it("hold well-formed Unicode only: a lone surrogate is refused and never replaced", async () => {
    for (const text of ['"\\ud800"', '"\\udc00 "', '"a\\ud83dx"']) {
      const { status, json } = await raw("/api/query", `{"path":"rows:echo","args":{"value":${text}}}`);
      expect(`${status} ${JSON.stringify(json)}`, text).toMatch(/surrogate|unexpected end of hex escape|Invalid/i);
      expect(json.status, text).not.toBe("success");
    }
    expect(await host("1.0/insert", '{"table":"values","value":{"set":"\\ud800"}}')).toMatch(/^Received invalid json: /);
    expect(await failureOf(http.query(api.rows.bigResult, { what: "surrogate", size: 0 }))).toMatch(
      /^Function rows\.js:bigResult failed\. Could not parse return value as json: /,
    );
  });

  it("come in the form that the caller asks for", async () => {
    const sent = JSON.stringify(convexToJson({ i: 5n, f: 1.5, w: 2, nan: NaN, inf: Infinity, ninf: -Infinity, z: -0, b: bytes(1, 2, 255), deep: [{ i: -1n }] }));
    const ask = async (format: string): Promise<string> => {
      const body = `{"path":"rows:echo","args":{"value":${sent}}${format}}`;
      const response = await fetch(`${server.url}/api/query`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
      return await response.text();
    };
    const clean = '{"b":"AQL/","deep":[{"i":"-1"}],"f":1.5,"i":"5","inf":"Infinity","nan":"NaN","ninf":"-Infinity","w":2,"z":-0.0}';
    for (const format of ["", ',"format":"json"', ',"format":"convex_clean_json"']) {
      expect(await ask(format)).toContain(`"value":${clean}`);
    }
    for (const format of ["convex_encoded_json", "convex_json"]) {
      const { value } = JSON.parse(await ask(`,"format":"${format}"`)) as { value: JSONValue };
      same(jsonToConvex(value), jsonToConvex(JSON.parse(sent) as JSONValue));
    }
    expect(await ask(',"format":"export_json"')).toContain(
      '"value":{"b":{"$bytes":"AQL/"},"deep":[{"i":-1}],"f":1.5,"i":5,"inf":{"$float":"AAAAAAAA8H8="},"nan":{"$float":"AAAAAAAA+H8="},"ninf":{"$float":"AAAAAAAA8P8="},"w":2.0,"z":-0.0}',
    );
    const { status, json } = await raw("/api/query", '{"path":"rows:echo","args":{"value":1},"format":"xml"}');
    expect([status, json.code]).toEqual([400, "BadFormat"]);
  });

  it("may have any printable ASCII name for a field", async () => {
    const value = { "": 1, " ": 2, "~!@#%^&*()": 3, "a.b": 4, _x: 5, "1": 6, a$: 7, ["x".repeat(1024)]: 8, __proto: 9, constructor: 10, toString: 11 };
    same(await http.query(api.rows.echo, { value }), value);
    const { json } = await raw("/api/query", '{"path":"rows:echo","format":"convex_encoded_json","args":{"value":{"__proto__":1,"a":2}}}');
    expect(json.status).toBe("success");
  });
});

describe("the order of values", () => {
  it("is the client package's, in an index, both ways", async () => {
    const shuffled = ASCENDING.map((x, n) => ({ x, n })).sort((a, b) => ((a.n * 7919) % 47) - ((b.n * 7919) % 47));
    await http.mutation(api.rows.insertMany, {
      table: "values",
      values: shuffled.map(({ x, n }) => (x === undefined ? { set: "order", n } : { set: "order", n, x })),
    });
    const range = [["eq", "set", "order"]];
    const up = (await http.query(api.find.rows, { table: "values", index: "by_set_x", range })) as { x?: Value; n: number }[];
    expect(up.map((row) => row.n)).toEqual(ASCENDING.map((_, n) => n));
    up.forEach((row, n) => { same(row.x, ASCENDING[n]); });
    for (let n = 1; n < up.length; n += 1) {
      expect(compareValues(up[n - 1]?.x, up[n]?.x), `${n}`).toBeLessThan(0);
    }
    const down = (await http.query(api.find.rows, { table: "values", index: "by_set_x", range, order: "desc" })) as { n: number }[];
    expect(down.map((row) => row.n)).toEqual(ASCENDING.map((_, n) => n).reverse());
  });

  it("decides range bounds as compareValues does, for every pair of the sample", async () => {
    const values = ASCENDING.map((x, n) => (x === undefined ? { set: "pairs", n } : { set: "pairs", n, x }));
    await http.mutation(api.rows.insertMany, { table: "values", values });
    const accepts: Record<string, (order: number) => boolean> = {
      eq: (order) => order === 0,
      gt: (order) => order > 0,
      gte: (order) => order >= 0,
      lt: (order) => order < 0,
      lte: (order) => order <= 0,
    };
    for (const [method, accept] of Object.entries(accepts)) {
      const queries = ASCENDING.map((bound) => ({
        table: "values",
        index: "by_set_x",
        range: [
          ["eq", "set", "pairs"],
          [method, "x", bound === undefined ? "<undefined>" : bound],
        ],
      }));
      const found = (await http.query(api.find.many, { queries })) as unknown as { n: number }[][];
      for (const [at, bound] of ASCENDING.entries()) {
        const wanted = ASCENDING.map((x, n) => ({ x, n })).filter(({ x }) => accept(compareValues(x, bound)));
        expect(found[at]?.map((row) => row.n), `${method} #${at}`).toEqual(wanted.map(({ n }) => n));
      }
    }
  });

  it("agrees with compareValues for generated values, in an index and in filters", async () => {
    const seed = Number(process.env.SEED ?? Date.now() % 2 ** 31);
    const random = generator(seed);
    const values = Array.from({ length: 400 }, () => random.value(3));
    const set = `generated-${seed}`;
    await http.mutation(api.rows.insertMany, { table: "values", values: values.map((x, n) => ({ set, n, x })) });
    const found = (await http.query(api.find.rows, { table: "values", index: "by_set_x", range: [["eq", "set", set]] })) as { x: Value; n: number }[];
    const wanted = values.map((x, n) => ({ x, n })).sort((a, b) => compareValues(a.x, b.x) || a.n - b.n);
    expect(found.map((row) => row.n), `SEED=${seed}`).toEqual(wanted.map(({ n }) => n));
    found.forEach((row) => { same(row.x, values[row.n]); });
    // The server measures them as the client package does.
    const measured = await http.query(api.find.measured, { table: "values", index: "by_set_x", range: [["eq", "set", set]] });
    const sizes = found.map((row) => getDocumentSize(row as unknown as Record<string, Value>));
    expect(measured.bytes, `SEED=${seed}`).toBe(sizes.reduce((sum, size) => sum + size, 0));
    // Arrays stand for expressions here.
    const bounds = Array.from({ length: 20 }, () => values[random.below(values.length)] as Value).filter((bound) => !Array.isArray(bound));
    const queries = bounds.map((bound) => ({ table: "values", filter: ["and", ["eq", ["field", "set"], set], ["lt", ["field", "x"], bound]] }));
    const less = (await http.query(api.find.many, { queries })) as unknown as { n: number }[][];
    for (const [at, bound] of bounds.entries()) {
      const expected = values.map((x, n) => ({ x, n })).filter(({ x }) => compareValues(x, bound) < 0);
      expect(less[at]?.map((row) => row.n), `SEED=${seed}`).toEqual(expected.map(({ n }) => n));
    }
  });
});

describe("limits", () => {
  it("hold for nesting: 64 for values, 16 for documents", async () => {
    // The arguments object around the value is a level as well.
    same(await http.query(api.rows.echo, { value: nestedArray(63) }), nestedArray(63));
    expect(await failureOf(http.query(api.rows.echo, { value: nestedArray(64) }))).toBe(
      "Invalid arguments for rows.js:echo: Value is too nested (nested 65 levels deep > maximum nesting 64)",
    );
    same(await http.query(api.rows.bigResult, { what: "nested", size: 64 }), nestedArray(64));
    expect(await failureOf(http.query(api.rows.bigResult, { what: "nested", size: 65 }))).toBe(
      "Function rows.js:bigResult return value invalid: Value is too nested (nested 65 levels deep > maximum nesting 64)",
    );
    const id = await insert("values", { set: "nested", x: nestedArray(15) });
    same((await get(id))?.x, nestedArray(15));
    expect(await failureOf(insert("values", { set: "nested", x: nestedArray(16) }))).toMatch(
      /^\S+ isn't a valid document: Document is too nested \(nested 17 levels deep > maximum nesting 16\)$/,
    );
    expect(await failureOf(http.mutation(api.rows.patch, { id, value: { x: nestedArray(17) } }))).toContain("nested 18 levels deep > maximum nesting 16");
    expect(await failureOf(http.mutation(api.rows.replace, { id, value: { set: "", x: nestedArray(16) } }))).toContain("Document is too nested");
    same((await get(id))?.x, nestedArray(15));
  });

  it("hold for the length of arrays and the number of fields", async () => {
    const zeros = (length: number): number[] => new Array<number>(length).fill(0);
    const fields = (length: number): Record<string, number> => Object.fromEntries(zeros(length).map((_, n) => [`f${n}`, n]));
    expect(await http.query(api.rows.echo, { value: zeros(8192) })).toHaveLength(8192);
    expect(await failureOf(http.query(api.rows.echo, { value: zeros(8193) }))).toBe(
      "Invalid arguments for rows.js:echo: Array length is too long (8193 > maximum length 8192)",
    );
    expect(await failureOf(http.query(api.rows.bigResult, { what: "array", size: 9000 }))).toBe(
      "Function rows.js:bigResult return value invalid: Array length is too long (9000 > maximum length 8192)",
    );
    same(await http.query(api.rows.echo, { value: fields(1024) }), fields(1024));
    expect(await failureOf(http.query(api.rows.echo, { value: fields(1025) }))).toBe(
      "Invalid arguments for rows.js:echo: Object has too many fields (1025 > maximum number 1024)",
    );
    expect(await failureOf(http.query(api.rows.bigResult, { what: "object", size: 1025 }))).toContain("Object has too many fields (1025 > maximum number 1024)");
    // A document's own two fields count.
    const id = await insert("free", fields(1022));
    expect(Object.keys((await get(id)) ?? {})).toHaveLength(1024);
    expect(await failureOf(insert("free", fields(1023)))).toContain("Object has too many fields (1025 > maximum number 1024)");
  });

  it("hold for the size of documents, to the byte that getDocumentSize tells", async () => {
    const LIMIT = 2 ** 20;
    const overhead = getDocumentSize({ s: "" });
    expect(getDocumentSize({ a: 1 })).toBe(74);
    const exact = { s: "x".repeat(LIMIT - overhead) };
    expect(getDocumentSize(exact)).toBe(LIMIT);
    const id = await insert("free", exact);
    expect(getDocumentSize((await get(id)) ?? {})).toBe(LIMIT);
    expect(await failureOf(insert("free", { s: `${exact.s}x` }))).toMatch(/^\S+ isn't a valid document: Value is too large \(1 MiB > maximum size 1 MiB\)$/);
    expect(await failureOf(http.mutation(api.rows.patch, { id, value: { t: 1 } }))).toContain("Value is too large (1 MiB > maximum size 1 MiB)");
    const big = { b: new ArrayBuffer(1.05 * LIMIT) };
    expect(await failureOf(insert("free", big))).toContain("Value is too large (1.05 MiB > maximum size 1 MiB)");
    // Other types, and text of more bytes than characters.
    for (const value of ["é".repeat(1000), "😀".repeat(500), { a: [1n, null, true, bytes(1, 2, 3)], "k k": "v" }] as Value[]) {
      const pad = LIMIT - getDocumentSize({ v: value, p: "" });
      await insert("free", { v: value, p: "x".repeat(pad) });
      expect(await failureOf(insert("free", { v: value, p: "x".repeat(pad + 1) }))).toContain("Value is too large");
    }
  });

  it("hold for arguments and results together: 16 MiB", async () => {
    const LIMIT = 2 ** 24;
    // The array of arguments is two bytes more.
    const overhead = 2 + getConvexSize({ value: "" });
    const fits = "x".repeat(LIMIT - overhead);
    // What is too large for the result here, by the size of the arguments alone, comes back as it went in.
    expect(((await http.query(api.rows.echo, { value: fits })) as string).length).toBe(fits.length);
    expect(await failureOf(http.query(api.rows.echo, { value: `${fits}x` }))).toBe(
      "Arguments for rows.js:echo are too large (actual: 16 MiB, limit: 16 MiB)",
    );
    expect(((await http.query(api.rows.bigResult, { what: "text", size: LIMIT - 2 })) as string).length).toBe(LIMIT - 2);
    expect(await failureOf(http.query(api.rows.bigResult, { what: "text", size: LIMIT + 220_000 }))).toBe(
      "Function rows.js:bigResult return value is too large (actual: 16.21 MiB, limit: 16 MiB)",
    );
  });
});

describe("limits of a transaction", () => {
  it("can be caught, and what was written before stays", async () => {
    const write = async (table: string, count: number, bytes: number): Promise<unknown> => await http.mutation(api.rows.writeUntilRefused, { table, count, bytes });
    const last = async (table: string): Promise<unknown> => await http.query(api.find.rows, { table, order: "desc", first: true });
    expect(await write("wide", 20, 1_000_000)).toEqual({ written: 16, message: "Too many bytes written in a single function execution (limit: 16 MiB)" });
    expect(await last("wide")).toMatchObject({ n: 15 });
    const tooMany = { written: 16_000, message: "Too many writes in a single function execution (limit: 16000)" };
    expect(await write("long", 16_001, 0)).toEqual(tooMany);
    expect(await last("long")).toMatchObject({ n: 15_999 });
    const help = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries with a selective index range expressions.";
    // Places that were read before cost nothing.
    expect(await http.query(api.rows.readUntilRefused, { count: 4096 })).toEqual({ read: 4096, message: "no error" });
    expect(await http.query(api.rows.readUntilRefused, { count: 4097 })).toEqual({
      read: 4096,
      message: `Too many reads in a single function execution (limit: 4096). ${help}`,
    });
    // Rows that a filter rejects count.
    expect(await write("long", 16_001, 0)).toEqual(tooMany);
    expect(await http.query(api.find.measured, { table: "long", filter: false })).toMatchObject({ found: [], documents: 32_000 });
    await insert("long", {});
    expect(await failureOf(http.query(api.find.rows, { table: "long", filter: false }))).toBe(
      `Too many documents read in a single function execution (limit: 32000). ${help}`,
    );
  });
});

describe("validation errors", () => {
  it("say what is wrong and where", async () => {
    const id = await insert("values", { set: "other" });
    const call = async (args: unknown): Promise<string> => await failureOf(http.query(api.rows.typedArgs, args as { name: string }));
    expect(await call({ name: 5 })).toBe("ArgumentValidationError: Value does not match validator.\nPath: .name\nValue: 5.0\nValidator: v.string()");
    expect(await call({})).toBe(
      "ArgumentValidationError: Object is missing the required field `name`. Consider wrapping the field validator in `v.optional(...)` if this is expected.\n\nObject: {}\nValidator: v.object({id: v.optional(v.id(\"items\")), list: v.optional(v.array(v.object({a: v.float64()}))), name: v.string()})",
    );
    expect(await call({ name: "", x: 1n })).toContain("Object contains extra field `x` that is not in the validator.\n\nObject: {name: \"\", x: 1}\nValidator: v.object(");
    expect(await call({ name: "", list: [{ a: 1 }, { a: "1" }] })).toBe(
      'ArgumentValidationError: Value does not match validator.\nPath: .list[1].a\nValue: "1"\nValidator: v.float64()',
    );
    expect(await call({ name: "", id })).toBe(
      `ArgumentValidationError: Found ID "${id}" from table \`values\`, which does not match the table name in validator \`v.id("items")\`.Path: .id`,
    );
    expect(await call({ name: "", id: "nonsense" })).toBe(
      'ArgumentValidationError: Value does not match validator.\nPath: .id\nValue: "nonsense"\nValidator: v.id("items")',
    );
    const job = await http.mutation(api.rows.schedule, { note: "id" });
    expect(await call({ name: "", id: job })).toBe(
      `ArgumentValidationError: Found ID "${job}" from a system table, which does not match the table name in validator \`v.id("items")\`.Path: .id`,
    );
    expect(await failureOf(http.query(api.rows.typedResult, { value: { ok: null } }))).toBe(
      "ReturnsValidationError: Value does not match validator.\nPath: .ok\nValue: null\nValidator: v.boolean()",
    );
    const { json } = await raw("/api/query", '{"path":"rows:typedArgs","args":[1,"x"]}');
    expect(json.errorMessage).toContain(
      'Expected to receive a single object as the function\'s argument. Instead received 2 arguments: [1.0, "x"]',
    );
  });

  it("of documents name the table, and nothing is written", async () => {
    const prefix = 'Failed to insert or update a document in table "typed" because it does not match the schema: ';
    expect(await failureOf(insert("typed", { name: 1 }))).toBe(
      `${prefix}Value does not match validator.\nPath: .name\nValue: 1.0\nValidator: v.string()`,
    );
    expect(await failureOf(insert("typed", { name: "", kind: -0 }))).toBe(
      `${prefix}Value does not match validator.\nPath: .kind\nValue: -0.0\nValidator: v.union(v.literal("a"), v.literal(1.5))`,
    );
    const id = await insert("typed", { name: "x", kind: 1.5 });
    expect(await failureOf(http.mutation(api.rows.patch, { id, value: {}, unset: ["name"] }))).toContain("Object is missing the required field `name`.");
    expect(await failureOf(http.mutation(api.rows.replace, { id, value: { name: "x", more: {} } }))).toContain("Object contains extra field `more`");
    expect(await http.query(api.find.rows, { table: "typed" })).toHaveLength(1);
  });

  it("stay short for values of megabytes", async () => {
    const huge = "x".repeat(3_000_000);
    const message = await failureOf(http.query(api.rows.typedArgs, { name: [huge, huge] as unknown as string }));
    expect(message.length).toBeLessThan(10_000);
    expect(message).toMatch(/^ArgumentValidationError: Value does not match validator\.\nPath: \.name\nValue: \["x{1000}/);
    expect(message).toMatch(/x… \(shortened, 5\.72 MiB in all\)\nValidator: v\.string\(\)$/);
    const missing = await failureOf(http.query(api.rows.typedArgs, { huge } as unknown as { name: string }));
    expect(missing).toMatch(/\nObject: \{huge: "x+… \(shortened, 2\.86 MiB in all\)\nValidator: v\.object\(/);
    expect(missing.length).toBeLessThan(10_000);
    const result = await failureOf(http.query(api.rows.typedResult, { value: huge }));
    expect(result.length).toBeLessThan(10_000);
    const { json } = await raw("/api/query", `{"path":"rows:typedArgs","args":["${huge}"]}`);
    expect((json.errorMessage as string).length).toBeLessThan(10_000);
  });
});

/** Values by a seed. */
function generator(seed: number): { below(most: number): number; value(depth: number): Value } {
  let state = seed >>> 0;
  const below = (most: number): number => {
    // A linear congruence (Numerical Recipes); only its high bits are used.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
  const text = (): string => Array.from({ length: below(4) }, () => ["a", "b", "\0", "é", "\uFFFD", "😀", "\u{10FFFF}", "Z"][below(8)] ?? "").join("");
  const name = (): string => Array.from({ length: below(3) }, () => ["a", "b", " ", "_", "~"][below(5)] ?? "").join("");
  const value = (depth: number): Value => {
    switch (below(depth > 0 ? 10 : 8)) {
      case 0:
        return null;
      case 1:
        return [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 256n][below(6)] ?? 0n;
      case 2:
        return [0, -0, 1, -1, 0.1, 5e-324, -5e-324, 1.7976931348623157e308, Infinity, -Infinity, NaN, 256][below(12)] ?? 0;
      case 3:
        return (below(2 ** 31) - 2 ** 30) / 1024;
      case 4:
        return below(2) === 0;
      case 5:
      case 6:
        return text();
      case 7:
        return new Uint8Array(Array.from({ length: below(4) }, () => [0, 1, 127, 128, 255][below(5)] ?? 0)).buffer;
      case 8:
        return Array.from({ length: below(4) }, () => value(depth - 1));
      default:
        return Object.fromEntries(Array.from({ length: below(4) }, () => [name(), value(depth - 1)]));
    }
  };
  return { below, value };
}
