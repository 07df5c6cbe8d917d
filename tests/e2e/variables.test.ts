/** Environment variables: every bound at and beyond it, odd values through the CLI, live queries, declarations of the app. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { makeFunctionReference } from "convex/server";
import { afterAll, describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

interface Read {
  value: string | null;
  run: number;
}

interface Change {
  name: string;
  value?: string | null;
}

const KIB = 1024;

const { server, app, calls } = await runApp("scheduler", {
  prepare: (made) => {
    made.write(
      "convex/variables.ts",
      `import { v } from "convex/values";
import { query } from "./_generated/server";
/** With a number that is another one after each run. */
export const read = query({ args: { name: v.string() }, handler: (_ctx, { name }) => ({ value: process.env[name] ?? null, run: Math.random() }) });
`,
    );
  },
});
const live = new WatchedClient(server, { varying: ["run"] });
afterAll(async () => {
  await live.close();
});

async function change(changes: Change[], key = server.adminKey, path = "update_environment_variables"): Promise<{ status: number; code?: string; message?: string }> {
  const response = await fetch(`${server.url}/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Convex ${key}` },
    body: JSON.stringify({ changes }),
  });
  const text = await response.text();
  return { status: response.status, ...(text === "" ? {} : (JSON.parse(text) as { code: string; message: string })) };
}

async function list(): Promise<Record<string, string>> {
  const response = await fetch(`${server.url}/api/v1/list_environment_variables`, { headers: { Authorization: `Convex ${server.adminKey}` } });
  return ((await response.json()) as { environmentVariables: Record<string, string> }).environmentVariables;
}

async function clear(): Promise<void> {
  expect((await change(Object.keys(await list()).map((name) => ({ name, value: null })))).status).toBe(200);
}

async function set(...changes: Change[]): Promise<void> {
  expect(await change(changes)).toEqual({ status: 200 });
}

async function read(name: string): Promise<string | null> {
  return (await calls.query<Read>("variables:read", { name })).value;
}

describe("a change of variables", () => {
  it("is refused beyond each bound, as a whole", async () => {
    const name256 = "N".repeat(256);
    await set({ name: name256, value: "longest" }, { name: "VALUE", value: "é".repeat(4 * KIB) });
    expect(await read(name256)).toBe("longest");
    expect(await read("VALUE")).toBe("é".repeat(4 * KIB));
    const before = await list();
    for (const [bad, code] of [
      [[{ name: `${name256}N`, value: "" }], "EnvironmentVariableNameTooLong"],
      [[{ name: "VALUE", value: `${"é".repeat(4 * KIB)}x` }], "EnvironmentVariableValueTooLarge"],
      ...["", "1A", "A-B", "A B", "É", "A\n", "A.B", "A="].map((name) => [[{ name, value: "" }], "EnvironmentVariableNameInvalid"] as const),
      [[{ name: "CONVEX_CLOUD_URL", value: "x" }], "EnvVarNameForbidden"],
      [[{ name: "CONVEX_SITE_URL", value: null }], "EnvVarNameForbidden"],
      [[{ name: "TWICE", value: "1" }, { name: "TWICE", value: "2" }], "EnvVarNameNotUnique"],
    ] as [Change[], string][]) {
      const refused = await change([{ name: "WITH_IT", value: "1" }, ...bad]);
      expect([refused.status, refused.code], JSON.stringify(bad).slice(0, 80)).toEqual([400, code]);
    }
    expect((await change([{ name: "WITH_IT", value: "1" }], "wrong|00")).status).toBe(401);
    expect(await list()).toEqual(before);
    // Underscores alone are a name, and both paths are the same.
    expect(await change([{ name: "_", value: "" }], server.adminKey, "v1/update_environment_variables")).toEqual({ status: 200 });
    expect(await read("_")).toBe("");
    await clear();
  });

  it("may make 512 variables and 512 KiB of them", async () => {
    const many = Array.from({ length: 512 }, (_, n) => ({ name: `A${n}`, value: "" }));
    await set(...many);
    expect((await change([{ name: "B", value: "" }])).code).toBe("EnvVarLimitMet");
    // In exchange for another one it may.
    await set({ name: "A0", value: null }, { name: "B", value: "" });
    await clear();
    const full = Array.from({ length: 64 }, (_, n) => {
      const name = `LARGE_${n}`;
      return { name, value: "x".repeat(8 * KIB - name.length) };
    });
    await set(...full);
    expect((await change([{ name: "C", value: "" }])).code).toBe("EnvVarTotalSizeLimitMet");
    expect((await change([{ name: "LARGE_0", value: "x".repeat(8 * KIB - 6) }])).code).toBe("EnvVarTotalSizeLimitMet");
    await set({ name: "LARGE_0", value: "" }, { name: "C", value: "" });
    await clear();
    expect(await list()).toEqual({});
  });

  it("keeps values as they are", async () => {
    const values = ["", " ", "\n", "a=b", '"quoted"', "line one\nline two\n", "$HOME `x` \\n #no", "\u0000", "😀", "true", "-1"];
    await set(...values.map((value, n) => ({ name: `ODD_${n}`, value })));
    for (const [n, value] of values.entries()) {
      expect(await read(`ODD_${n}`)).toBe(value);
    }
    await clear();
    expect(await read("ODD_0")).toBeNull();
  });
});

describe("the CLI", () => {
  it("sets values with odd characters, several at once, and from a file", { timeout: 180_000 }, async () => {
    const multi = "first\nsecond \"quoted\" $X\n";
    expect((await app.convex("env", "set", "MULTI", multi)).code).toBe(0);
    expect(await read("MULTI")).toBe(multi);
    expect((await app.convex("env", "get", "MULTI")).stdout).toContain('first\nsecond "quoted" $X');
    writeFileSync(join(app.dir, "some.env"), 'ONE=1\nTWO="two words"\n# a comment\nTHREE=\n');
    const loaded = await app.convex("env", "set", "--from-file", "some.env");
    expect(loaded.code, loaded.output).toBe(0);
    expect(await list()).toMatchObject({ ONE: "1", TWO: "two words" });
    const listed = await app.convex("env", "list");
    expect(listed.stdout).toContain("ONE=1");
    expect((await app.convex("env", "get", "CONVEX_CLOUD_URL")).stdout.trim()).toBe(server.url);
    expect((await app.convex("env", "get", "NOBODY")).output).toContain("not found");
    const refused = await app.convex("env", "set", "BAD-NAME", "x");
    expect(refused.code).not.toBe(0);
    expect(refused.output).toContain("EnvironmentVariableNameInvalid");
    await clear();
  });
});

describe("a live query", () => {
  it("runs again when a variable changes that it has read, and for no other", async () => {
    const shown: Record<string, Read[]> = { MINE: [], OTHER: [] };
    for (const [name, seen] of Object.entries(shown)) {
      live.onUpdate(makeFunctionReference<"query">("variables:read"), { name }, (value: Read) => seen.push(value));
    }
    const values = (name: string): (string | null)[] => (shown[name] ?? []).map((read) => read.value);
    await eventually("the first answers", () => (values("MINE").length === 1 && values("OTHER").length === 1 ? true : undefined));
    for (const value of ["1", "2", ""]) {
      await set({ name: "MINE", value });
      await eventually(`${value} to be shown`, () => (values("MINE").at(-1) === value ? true : undefined));
    }
    // The same value once more is no change; a rename is one of two.
    await set({ name: "MINE", value: "" });
    await set({ name: "MINE", value: null }, { name: "OTHER", value: "renamed" });
    await eventually("the other one to be shown", () => (values("OTHER").at(-1) === "renamed" ? true : undefined));
    await eventually("the end of this one", () => (values("MINE").at(-1) === null ? true : undefined));
    expect(values("MINE")).toEqual([null, "1", "2", "", null]);
    expect(values("OTHER")).toEqual([null, "renamed"]);
    await clear();
  });
});

describe("variables that the app declares", () => {
  it("must be set before the push, and stay as declared", { timeout: 180_000 }, async () => {
    app.write(
      "convex/convex.config.ts",
      `import { defineApp } from "convex/server";
import { v } from "convex/values";
export default defineApp({ env: { NEEDED: v.string(), LEVEL: v.union(v.literal("low"), v.literal("high")), MAYBE: v.optional(v.string()) } });
`,
    );
    const missing = await app.convex("dev", "--once", "--typecheck", "disable");
    expect(missing.code).not.toBe(0);
    expect(missing.output).toMatch(/NEEDED/);
    expect(missing.output).toMatch(/LEVEL/);
    expect(missing.output).not.toMatch(/MAYBE/);
    await set({ name: "NEEDED", value: "x" }, { name: "LEVEL", value: "middle" });
    await expect(app.push()).rejects.toThrow("LEVEL");
    await set({ name: "LEVEL", value: "high" });
    await app.push();
    expect((await change([{ name: "NEEDED", value: null }])).code).toBe("RequiredEnvironmentVariable");
    expect((await change([{ name: "LEVEL", value: "middle" }])).status).toBe(400);
    await set({ name: "LEVEL", value: "low" }, { name: "MAYBE", value: "y" });
    await set({ name: "MAYBE", value: null });
    app.remove("convex/convex.config.ts");
    await app.push();
    await clear();
  });
});

describe("what was answered", () => {
  it("survives the death of the server", async () => {
    await set({ name: "KEPT", value: "for ever" });
    server.killEngine();
    await server.answering();
    expect(await list()).toMatchObject({ KEPT: "for ever" });
    expect(await read("KEPT")).toBe("for ever");
  });
});
