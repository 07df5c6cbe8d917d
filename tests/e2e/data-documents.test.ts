/** Documents, ids, system tables and commit timestamps: their rules, and what breaking them is told. */

import { ConvexHttpClient } from "convex/browser";
import { convexToJson, type Value } from "convex/values";
import { afterAll, describe, expect, it, vi } from "vitest";

import { api } from "../apps/data/convex/_generated/api.js";
import type { Id } from "../apps/data/convex/_generated/dataModel.js";
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
const live = new WatchedClient(server);

afterAll(async () => {
  await live.close();
});

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

describe("ids", () => {
  it("have the documented layout", async () => {
    for (const table of ["items", "values", "free"]) {
      const id = await insert(table, table === "items" ? { group: "ids", n: 1 } : { set: "ids" });
      expect(id).toMatch(/^[0-9a-hjkmnp-tv-z]{32}$/);
      const decoded = decodeId(id);
      expect(decoded.table).toBeGreaterThanOrEqual(10001);
      expect(encodeId(decoded.table, decoded.internal)).toBe(id);
      // The last two bytes count the days since 1970.
      const [high = 0, low = 0] = decoded.internal.slice(14);
      const day = Math.floor(Date.now() / 86_400_000);
      expect([day - 1, day]).toContain(high * 256 + low);
    }
    const job = await http.mutation(api.rows.schedule, { note: "id" });
    expect(decodeId(job).table).toBe(539);
  });

  it("agree with the worked example, bit by bit", async () => {
    const internal = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0x4e, 0x20];
    const examples: [number, string][] = [
      [10001, "j57020g30g2gc1r81450p30d1s721dgy"],
      [10002, "j97020g30g2gc1r81450p30d1s721dsg"],
      [540, "kg2020g30g2gc1r81450p30d1s720xzt"],
      [539, "kc2020g30g2gc1r81450p30d1s720xq8"],
      [1, "040g40r40m30e209185gr38e9rgdhkr"],
      [16384, "g20020820c20a1g7104gm2rc1m74w86r9w"],
    ];
    const tableOf = new Map<number, string>();
    const documents = { items: { group: "", n: 0 }, ledger: { group: 0, n: 0 }, nested: { set: "" }, stamps: { name: "" }, typed: { name: "" }, values: { set: "" } };
    for (const [table, document] of Object.entries(documents)) {
      tableOf.set(decodeId(await insert(table, document)).table, table);
    }
    // The first two tables of an app.
    expect([tableOf.has(10001), tableOf.has(10002)]).toEqual([true, true]);
    for (const [number, id] of examples) {
      expect(encodeId(number, internal)).toBe(id);
      const table = tableOf.get(number);
      for (const asked of tableOf.values()) {
        expect(await http.query(api.rows.normalizeId, { table: asked, id }), `${id} in ${asked}`).toBe(asked === table ? id : null);
      }
    }
    expect(await http.query(api.rows.normalizeId, { table: "_storage", id: "kg2020g30g2gc1r81450p30d1s720xzt" })).toBe("kg2020g30g2gc1r81450p30d1s720xzt");
    expect(await http.query(api.rows.normalizeId, { table: "_scheduled_functions", id: "kc2020g30g2gc1r81450p30d1s720xq8" })).toBe("kc2020g30g2gc1r81450p30d1s720xq8");
    expect(await http.query(api.rows.normalizeId, { table: "_storage", id: "kc2020g30g2gc1r81450p30d1s720xq8" })).toBeNull();
    // Numbers that belong to no table.
    expect(await get("040g40r40m30e209185gr38e9rgdhkr")).toBeNull();
    expect(await get("g20020820c20a1g7104gm2rc1m74w86r9w")).toBeNull();
    expect(await get("g20020820c20a1g7104gm2rc1m74w86r9w", "items")).toBeNull();
  });

  it("are normalized strictly, whatever the text", async () => {
    const id = await insert("items", { group: "normalize", n: 1 });
    const ask = async (text: string): Promise<string | null> => await http.query(api.rows.normalizeId, { table: "items", id: text });
    expect(await ask(id)).toBe(id);
    const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    const odd = ["", " ", id.toUpperCase(), ` ${id}`, `${id} `, id.slice(0, -1), id.slice(1), `${id}0`, `${id}${id}`, "x".repeat(100_000), "é".repeat(32), "\0", "i".repeat(32), "0".repeat(32), "z".repeat(37)];
    for (const text of odd) {
      expect(await ask(text), JSON.stringify(text.slice(0, 50))).toBeNull();
    }
    // One changed character: the checksum, or the bits that are always zero.
    for (let at = 0; at < id.length; at += 1) {
      const other = alphabet[(alphabet.indexOf(id.charAt(at)) + 1 + (at % 30)) % 32] ?? "";
      expect(await ask(id.slice(0, at) + other + id.slice(at + 1)), `${at}`).toBeNull();
    }
    await http.mutation(api.rows.remove, { id });
    // Whether there is such a document is not asked.
    expect(await ask(id)).toBe(id);
    expect(await http.query(api.rows.normalizeId, { table: "nowhere", id })).toBeNull();
    expect(await host("1.0/db/normalizeId", { table: "_tables", idString: id }, true)).toBe('no error: {"id":null}');
    expect(await host("1.0/db/normalizeId", { table: "a-b", idString: id }, true)).toBe(
      "Invalid argument `table` for `db.normalizeId`: Identifier a-b has invalid character '-': Identifiers can only contain alphanumeric characters or underscores",
    );
  });

  it("that are none are refused with the reason", async () => {
    const id = await insert("items", { group: "broken", n: 1 });
    const last = id.endsWith("0") ? "g" : "0";
    const zero = encodeId(0, new Array<number>(16).fill(0));
    const cases: [string, RegExp][] = [
      ["abc", /^Unable to decode ID: Invalid ID length 3$/],
      ["u".repeat(32), /^Unable to decode ID: ID wasn't valid base32$/],
      [id.toUpperCase(), /^Unable to decode ID: ID wasn't valid base32$/],
      [zero, /^Unable to decode ID: Invalid table number$/],
      [id.slice(0, -4) + "0000", /^Unable to decode ID: Invalid ID (version \d+ \(expected 0\)|length 32)$/],
      [id.slice(0, -1) + last, /^Unable to decode ID: Invalid ID (version \d+ \(expected 0\)|length 32)$/],
    ];
    for (const [text, reason] of cases) {
      for (const [op, method, args] of [
        ["1.0/get", "db.get", { id: text, isSystem: false }],
        ["1.0/get", "db.system.get", { id: text, isSystem: true }],
        ["1.0/shallowMerge", "db.patch", { id: text, value: {} }],
        ["1.0/replace", "db.replace", { id: text, value: {} }],
        ["1.0/remove", "db.delete", { id: text }],
      ] as const) {
        const message = await host(op, args);
        const prefix = `Invalid argument \`id\` for \`${method}\`: `;
        expect(message.startsWith(prefix), message).toBe(true);
        expect(message.slice(prefix.length)).toMatch(reason);
      }
    }
    for (const [op, method] of [["1.0/shallowMerge", "db.patch"], ["1.0/replace", "db.replace"], ["1.0/remove", "db.delete"], ["1.0/get", "db.get"]] as const) {
      expect(await host(op, { id: 5, value: {} })).toMatch(new RegExp(`^Invalid arguments for \`${method.replace(".", "\\.")}\`: `));
    }
  });
});

describe("documents", () => {
  it("have creation times that increase within a transaction", async () => {
    const times = await http.mutation(api.rows.creationTimes, { group: "times" });
    expect(times).toHaveLength(50);
    for (let n = 1; n < times.length; n += 1) {
      expect(times[n]).toBeGreaterThan(times[n - 1] ?? NaN);
    }
    expect(Math.abs((times[0] ?? 0) - Date.now())).toBeLessThan(600_000);
    const rows = (await http.query(api.find.rows, { table: "items", filter: ["eq", ["field", "group"], "times"] })) as { n: number }[];
    expect(rows.map((row) => row.n)).toEqual(Array.from({ length: 50 }, (_, n) => n).filter((n) => n !== 10));
    // Nested rows that were undone took a time of their own.
    const step = (at: number): number => ((times[at + 1] ?? 0) - (times[at] ?? 0)) / 2 ** -12;
    expect(step(20)).toBe(2);
    expect(step(21)).toBe(1);
  });

  it("are patched field by field, at the top level only", async () => {
    const id = await insert("free", { a: 1, b: { c: 1, d: 2 }, e: null });
    const own = await get(id);
    const patched = await http.mutation(api.rows.patch, { id, value: { b: { c: 3 }, f: [1n] }, unset: ["a", "absent", "_id", "_creationTime"] });
    expect(patched).toEqual({ _id: id, _creationTime: own?._creationTime, b: { c: 3 }, e: null, f: [1n] });
    expect(await http.mutation(api.rows.patch, { id, table: "free", value: { _id: id, _creationTime: own?._creationTime } })).toEqual(patched);
    const replaced = await http.mutation(api.rows.replace, { id, value: { z: -0 } });
    same(replaced, { _id: id, _creationTime: own?._creationTime ?? null, z: -0 });
    expect(await http.mutation(api.rows.replace, { id, table: "free", value: { _id: id, _creationTime: own?._creationTime } })).toEqual({ _id: id, _creationTime: own?._creationTime });
    expect(await http.mutation(api.rows.remove, { id, table: "free" })).toBeNull();
    expect(await get(id)).toBeNull();
  });

  it("can be written and read beginning with the table", async () => {
    const { id, patched, replaced, gone } = await http.mutation(api.rows.byTable, { group: "table-first" });
    expect(patched).toMatchObject({ _id: id, n: 2 });
    expect(replaced).toMatchObject({ _id: id, n: 3 });
    expect(gone).toBe(true);
  });

  it("are not written by a patch or replace that changes nothing", async () => {
    const id = await insert("items", { group: "same", n: 1 });
    expect(await http.mutation(api.rows.emptyWrites, { id: id as Id<"items"> })).toBe(0);
  });

  it("that are missing cannot be written", async () => {
    const id = await insert("items", { group: "gone", n: 1 });
    expect(await failureOf(http.mutation(api.rows.remove, { id, times: 2 }))).toBe(`Delete on nonexistent document ID ${id}`);
    await http.mutation(api.rows.remove, { id });
    expect(await failureOf(http.mutation(api.rows.remove, { id }))).toBe(`Delete on nonexistent document ID ${id}`);
    expect(await failureOf(http.mutation(api.rows.patch, { id, value: {} }))).toBe(`Update on nonexistent document ID ${id}`);
    expect(await failureOf(http.mutation(api.rows.replace, { id, value: { group: "", n: 1 } }))).toBe(`Replace on nonexistent document ID ${id}`);
    expect(await get(id)).toBeNull();
  });

  it("keep the system's fields", async () => {
    const id = await insert("free", { a: 1 });
    const other = await insert("free", { a: 2 });
    const time = (await get(id))?._creationTime as number;
    for (const write of [api.rows.patch, api.rows.replace]) {
      expect(await failureOf(http.mutation(write, { id, value: { _id: other } }))).toBe(`Provided document ID "${id}" doesn't match '_id' field "${other}"`);
      expect(await failureOf(http.mutation(write, { id, value: { _id: 5 } }))).toBe(`Provided document ID "${id}" doesn't match '_id' field 5.0`);
      expect(await failureOf(http.mutation(write, { id, value: { _creationTime: 5 } }))).toMatch(
        new RegExp(`^Provided creation time ${String(time).replace(".", "\\.")}(\\.0)? doesn't match '_creationTime' field in \\{.*_creationTime: 5\\.0.*\\}$`),
      );
      expect(await failureOf(http.mutation(write, { id, value: { _hidden: 5 } }))).toBe(
        "Field '_hidden' starts with an underscore, which is only allowed for system fields like '_id'",
      );
    }
    expect(await failureOf(insert("free", { _id: id }))).toMatch(new RegExp(`^Provided document ID "[0-9a-z]{32}" doesn't match '_id' field "${id}"$`));
    const wrong = await failureOf(insert("free", { _creationTime: 5 }));
    expect(wrong).toMatch(/^Provided creation time \d{13}(\.\d+)? doesn't match '_creationTime' field in \{_creationTime: 5\.0\}$/);
    expect(await failureOf(insert("free", { _x: 5 }))).toBe("Field '_x' starts with an underscore, which is only allowed for system fields like '_id'");
    // Further in, names are free.
    const nested = await insert("free", { a: { _id: 1, _x: 2 } });
    expect((await get(nested))?.a).toEqual({ _id: 1, _x: 2 });
  });

  it("of megabytes do not fill the text of an error", async () => {
    const message = await failureOf(insert("free", { _creationTime: 5, s: "x".repeat(1_000_000) }));
    expect(message.length).toBeLessThan(10_000);
    expect(message).toMatch(/… \(shortened, 976\.\d+ KiB in all\)$/);
    expect((await failureOf(insert(`${"x".repeat(1_000_000)}-`, {}))).length).toBeLessThan(10_000);
  });

  it("are objects in tables with proper names", async () => {
    for (const value of [[], 1, 1.5, "x", null, true, { $integer: "AQAAAAAAAAA=" }, { $bytes: "" }]) {
      expect(await host("1.0/insert", { table: "free", value }), JSON.stringify(value)).toBe("Invalid argument `value` for `db.insert`: Value must be an Object");
    }
    const id = await insert("free", {});
    for (const value of [[], 1, 1.5, "x", null, true, { $integer: "AQAAAAAAAAA=" }, { $bytes: "" }]) {
      expect(await host("1.0/replace", { id, value })).toBe("Invalid argument `value` for `db.replace`: Value must be an Object");
      expect(await host("1.0/shallowMerge", { id, value }), JSON.stringify(value)).toBe("Invalid argument `value` for `db.patch`: Value must be an Object");
    }
    expect(await host("1.0/insert", { table: "free", value: { $a: 1 } })).toBe("Invalid argument `value` for `db.insert`: Field name $a starts with '$', which is reserved.");
    expect(await host("1.0/insert", { table: "free", value: { a: { $undefined: null } } })).toMatch(/^Invalid argument `value` for `db\.insert`: undefined is not/);
    expect(await host("1.0/shallowMerge", { id, value: { a: { b: { $undefined: null } } } })).toMatch(/^Invalid argument `value` for `db\.patch`: undefined is not/);
    expect(await host("1.0/shallowMerge", { id, value: { a: { $undefined: null } } })).toMatch(/^no error: /);
    const names: [string, string][] = [
      ["1abc", "Invalid first character '1' in 1abc: Identifiers must start with an alphabetic character or underscore"],
      ["a-b", "Identifier a-b has invalid character '-': Identifiers can only contain alphanumeric characters or underscores"],
      ["x".repeat(65), "Identifier is too long (65 > maximum 64)"],
      ["", "Identifier cannot be empty"],
    ];
    for (const [table, reason] of names) {
      expect(await failureOf(insert(table, {}))).toBe(`Invalid argument \`table\` for \`db.insert\`: ${reason}`);
    }
    expect(await host("1.0/insert", { table: "__", value: {} })).toBe("Invalid argument `table` for `db.insert`: Identifier __ cannot have exclusively underscores");
    expect(await insert("x".repeat(64), {})).toMatch(/^[0-9a-z]{32}$/);
    expect(await failureOf(insert("_x", {}))).toBe("System tables (prefixed with `_`) are read-only.");
    expect(await host("1.0/insert", { table: "_x", value: {} })).toBe("System tables can only be accessed with db.system.");
    expect(await host("1.0/insert", { table: "_storage", value: {} })).toBe("System tables can only be accessed with db.system.");
  });

  it("are found by an id of any user table, unless another table was named", async () => {
    const id = await insert("values", { set: "get" });
    expect(await get(id)).toMatchObject({ set: "get" });
    expect(await get(id, "values")).toMatchObject({ set: "get" });
    const wrong = (method: string): string => `Invalid argument \`id\` for \`${method}\`: expected to be an Id<"items">, got Id<"values"> instead.`;
    expect(await failureOf(get(id, "items"))).toBe(wrong("db.get"));
    expect(await failureOf(http.mutation(api.rows.patch, { id, table: "items", value: {} }))).toBe(wrong("db.patch"));
    expect(await failureOf(http.mutation(api.rows.replace, { id, table: "items", value: {} }))).toBe(wrong("db.replace"));
    expect(await failureOf(http.mutation(api.rows.remove, { id, table: "items" }))).toBe(wrong("db.delete"));
    const unknown = encodeId(12345, new Array<number>(16).fill(7));
    expect(await get(unknown)).toBeNull();
    for (const [write, method] of [[api.rows.patch, "db.patch"], [api.rows.replace, "db.replace"]] as const) {
      expect(await failureOf(http.mutation(write, { id: unknown, value: {} }))).toBe(`Invalid argument \`id\` for \`${method}\`: Table for ID "${unknown}" not found`);
    }
    expect(await failureOf(http.mutation(api.rows.remove, { id: unknown }))).toBe(`Invalid argument \`id\` for \`db.delete\`: Table for ID "${unknown}" not found`);
  });
});

describe("system tables", () => {
  it("show scheduled functions, read-only", async () => {
    const id = await http.mutation(api.rows.schedule, { note: "hello" });
    const job = (await http.query(api.rows.get, { id, system: true })) as Record<string, Value>;
    expect(job).toEqual({
      _id: id,
      _creationTime: expect.any(Number) as number,
      name: "rows.js:noop",
      args: [{ note: "hello" }],
      scheduledTime: expect.any(Number) as number,
      state: { kind: "pending" },
    });
    expect(Math.abs((job.scheduledTime as number) - 3_600_000 - (job._creationTime as number))).toBeLessThan(60_000);
    expect(await http.query(api.rows.get, { id, system: true, table: "_scheduled_functions" })).toEqual(job);
    const filter = ["eq", ["field", "_id"], id];
    for (const index of [undefined, "by_id", "by_creation_time"]) {
      const found = await http.query(api.find.rows, { table: "_scheduled_functions", filter, order: "desc", ...(index === undefined ? {} : { index }) });
      expect(found).toEqual([job]);
    }
    expect(await http.query(api.find.rows, { table: "_scheduled_functions", index: "by_id", range: [["eq", "_id", id]] })).toEqual([job]);
    expect(await failureOf(http.query(api.find.rows, { table: "_scheduled_functions", index: "by_next_ts" }))).toBe("Index _scheduled_functions.by_next_ts not found.");
    expect(await http.query(api.find.rows, { table: "_storage" })).toEqual([]);
    expect(await failureOf(http.query(api.rows.get, { id }))).toBe("System tables can only be accessed with db.system.");
    for (const [op, args] of [["1.0/remove", { id }], ["1.0/shallowMerge", { id, value: {} }], ["1.0/replace", { id, value: {} }]] as const) {
      expect(await host(op, args)).toBe("System tables can only be accessed with db.system.");
    }
    expect(await host("1.0/remove", { id, table: "items" })).toBe('Invalid argument `id` for `db.delete`: expected to be an Id<"items">, got Id<"_scheduled_functions"> instead.');
    expect(await failureOf(http.query(api.rows.get, { id, system: true, table: "_storage" }))).toBe(
      'Invalid argument `id` for `db.system.get`: expected to be an Id<"_storage">, got Id<"_scheduled_functions"> instead.',
    );
  });

  it("show what became of scheduled functions", async () => {
    const ids = await http.mutation(api.rows.scheduleAll, {});
    const jobs = await eventually("the end of all jobs", async () => {
      const found = await Promise.all(Object.entries(ids).map(async ([end, id]) => [end, await http.query(api.rows.get, { id, system: true })] as const));
      const all = Object.fromEntries(found) as Record<string, { state: { kind: string }; completedTime?: number }>;
      return Object.entries(all).every(([end, job]) => job.state.kind === end) ? all : undefined;
    });
    for (const job of Object.values(jobs)) {
      expect(job.completedTime).toBeTypeOf("number");
    }
    expect(jobs.success).toMatchObject({ name: "rows.js:noop", args: [{ note: [1n] }], state: { kind: "success" } });
    expect(jobs.canceled?.state).toEqual({ kind: "canceled" });
    expect(jobs.failed?.state).toEqual({ kind: "failed", error: expect.stringContaining("undone") as string });
  });

  it("and user tables have doors of their own", async () => {
    const id = await insert("items", { group: "doors", n: 1 });
    expect(await failureOf(http.query(api.rows.get, { id, system: true }))).toBe("User tables cannot be accessed with db.system.");
    // Private tables are not there.
    for (const table of ["_tables", "_index", "_modules", "_scheduled_jobs", "_nothing"]) {
      const args = { query: { source: { type: "FullTableScan", tableName: table, order: null }, operators: [] } };
      const [open, next] = await http.query(api.raw.inQuery, {
        calls: [
          { op: "1.0/queryStream", args: JSON.stringify(args), sync: true },
          { op: "1.0/queryStreamNext", args: '{"queryId":0}' },
        ],
      });
      expect([open?.reply, next?.reply]).toEqual(['{"queryId":0}', '{"value":null,"done":true}']);
      expect(await host("1.0/count", { table })).toBe("no error: 0");
    }
    for (let number = 513; number < 553; number += 1) {
      if (number !== 539 && number !== 540) {
        const hidden = encodeId(number, new Array<number>(16).fill(1));
        expect(await get(hidden)).toBeNull();
        expect(await http.query(api.rows.get, { id: hidden, system: true })).toBeNull();
        expect(await host("1.0/remove", { id: hidden })).toBe(`Invalid argument \`id\` for \`db.delete\`: Table for ID "${hidden}" not found`);
      }
    }
  });
});

describe("commit timestamps", () => {
  interface Stamp {
    _id: string;
    name: string;
    ts: bigint;
  }
  const list = async (name: string): Promise<Stamp[]> => (await http.query(api.stamps.list, { name })) as unknown as Stamp[];

  it("become one number in documents and results", async () => {
    const before = BigInt(Date.now() - 60_000) * 1_000_000n;
    const first = (await http.mutation(api.stamps.write, { name: "write" })) as unknown as { ts: bigint; deep: { ts: bigint }[]; snapshot: bigint };
    const rows = await list("write");
    expect(rows.map((row) => row.ts)).toEqual([first.ts, first.ts]);
    expect(first.deep).toEqual([{ ts: first.ts }]);
    expect(first.ts).toBeGreaterThan(before);
    expect(first.ts).toBeGreaterThan(first.snapshot);
    const second = (await live.mutation(api.stamps.write, { name: "write" })) as unknown as { ts: bigint; snapshot: bigint };
    expect(second.ts).toBeGreaterThan(first.ts);
    expect(second.snapshot).toBeGreaterThanOrEqual(first.ts);
    const seen = (await http.query(api.stamps.snapshotTs, { name: "write" })) as unknown as { snapshot: bigint; stamps: bigint[] };
    expect(seen.stamps).toEqual([first.ts, first.ts, second.ts, second.ts]);
    expect(seen.snapshot).toBeGreaterThanOrEqual(second.ts);
  });

  it("go through nested calls, both ways", async () => {
    const result = (await http.mutation(api.stamps.nested, { name: "nested" })) as { inner: { ts: bigint }; read: { ts: bigint }; ts: bigint };
    const rows = await list("nested");
    expect(rows).toHaveLength(2);
    expect(result.ts).toBeTypeOf("bigint");
    expect(result.inner).toEqual({ ts: result.ts });
    expect(result.read).toEqual({ ts: result.ts });
    expect(rows.map((row) => row.ts)).toEqual([result.ts, result.ts]);
  });

  it("sort last while they are pending, and equal the placeholder", async () => {
    const future = 2n ** 63n - 2n;
    const result = await http.mutation(api.stamps.pending, { name: "pending", before: [5n, 1n, future] });
    expect(result).toEqual({ lastIsOwn: true, equal: [true], firstAboveIsOwn: true, isPlaceholder: true });
    const rows = await list("pending");
    expect(rows.map((row) => row.ts)).toEqual([1n, 5n, expect.any(BigInt) as bigint, future]);
    const now = BigInt(Date.now()) * 1_000_000n;
    expect(rows[2]?.ts).toBeGreaterThan(now - 600_000_000_000n);
    expect(rows[2]?.ts).toBeLessThanOrEqual(now + 600_000_000_000n);
    // Found by its own number in the index.
    const found = (await http.query(api.find.rows, { table: "stamps", index: "by_ts", range: [["eq", "ts", rows[2]?.ts]] })) as Stamp[];
    expect(found.map((row) => row._id)).toEqual([rows[2]?._id]);
  });

  it("are refused where nothing will resolve them", async () => {
    expect(await failureOf(http.query(api.stamps.returned, {}))).toContain("queries cannot return an unresolved commit timestamp");
    expect(await http.mutation(api.stamps.scheduled, {})).not.toBe("no error");
    const { json } = await raw("/api/mutation", '{"path":"rows:insert","args":{"table":"free","value":{"$commitTs":null}}}');
    expect(json.status).toBe("error");
    expect(await failureOf(insert("stamps", { name: "x", ts: 1.5 }))).toContain("Path: .ts\nValue: 1.5\nValidator: v.commitTs()");
  });
});

describe("reactivity of documents", () => {
  it("covers a table that does not exist yet", async () => {
    const seen: number[] = [];
    const stop = live.onUpdate(api.find.rows, { table: "later" }, (rows) => {
      seen.push((rows as unknown[]).length);
    });
    await eventually("the empty table", () => seen[0]);
    await insert("later", {});
    await eventually("the first row", () => (seen.at(-1) === 1 ? true : undefined));
    expect(seen).toEqual([0, 1]);
    stop();
  });
});

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** The documented layout, written down a second time. */
function encodeId(table: number, internal: number[]): string {
  const list: number[] = [];
  let left = table;
  do {
    list.push((left & 127) | (left > 127 ? 128 : 0));
    left >>>= 7;
  } while (left > 0);
  list.push(...internal);
  let [a, c] = [0, 0];
  for (const byte of list) {
    a = (a + byte) & 255;
    c = (c + a) & 255;
  }
  list.push(a, c);
  const bits = list.map((byte) => byte.toString(2).padStart(8, "0")).join("");
  return (bits.match(/.{1,5}/g) ?? []).map((group) => ALPHABET[parseInt(group.padEnd(5, "0"), 2)] ?? "").join("");
}

function decodeId(id: string): { table: number; internal: number[] } {
  const bits = Array.from(id, (symbol) => ALPHABET.indexOf(symbol).toString(2).padStart(5, "0")).join("");
  const list = (bits.match(/.{8}/g) ?? []).map((group) => parseInt(group, 2));
  let [table, shift] = [0, 0];
  for (;;) {
    const byte = list.shift() ?? 0;
    table |= (byte & 127) << shift;
    shift += 7;
    if (byte < 128) {
      break;
    }
  }
  return { table, internal: list.slice(0, 16) };
}
