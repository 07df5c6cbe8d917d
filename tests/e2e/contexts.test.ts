/** What calls of one lane see of each other: nothing, whether or not they share a context. */

import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { eventually, FreshetServer } from "../src/server.ts";

const query = (name: string) => makeFunctionReference<"query", Record<string, unknown>, unknown>(name);
const mutation = (name: string) => makeFunctionReference<"mutation", Record<string, unknown>, unknown>(name);

const action = (name: string) => makeFunctionReference<"action", Record<string, unknown>, unknown>(name);

/** Each query has arguments of its own, so that none is answered from the cache. */
let tokens = 0;
const token = (): string => `t${(tokens += 1)}`;

describe.each(["verified", "fresh", "reuse"])("with contexts %s", (contexts) => {
  let server: FreshetServer;
  let app: TestApp;
  const http = (): ConvexHttpClient => new ConvexHttpClient(server.url, { logger: false });

  beforeAll(async () => {
    server = await FreshetServer.start({ args: ["--lanes", "1", "--contexts", contexts] });
    app = new TestApp(server, "contexts");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
  });

  it("shows no call what another changed of the world around it", async () => {
    const untouched = [null, null, [2, 3], false];
    expect(await http().query(query("traces:find"), {})).toEqual(untouched);
    expect(await http().mutation(mutation("polluter:pollute"), {})).toEqual(["mine"]);
    expect(await http().query(query("traces:find"), {})).toEqual(untouched);
    expect(await http().query(query("reused:pollute"), { token: token() })).toEqual(["mine"]);
    expect(await http().query(query("traces:find"), {})).toEqual(untouched);
  });

  it("shows no action what another has left behind", async () => {
    const change = { outer: "__proto__", inner: "left" };
    for (let round = 0; round < 3; round += 1) {
      expect(await http().action(action("counting:count"), {})).toBe(1);
      expect(await http().action(action("acting:look"), {})).toBe(null);
      // Nobody has noticed it when it meets the protection of a shared context, so it begins again in one of its own.
      expect(await http().action(action("acting:change"), { ...change, isNoticed: false })).toBe("by an action");
      // After that, its module shares none.
      expect(await http().action(action("acting:change"), { ...change, isNoticed: true })).toBe("by an action");
      expect(await http().action(action("acting:look"), {})).toBe(null);
    }
  });

  it("runs new code at once", async () => {
    const source = (text: string): string =>
      `import { queryGeneric } from "convex/server";\nexport const get = queryGeneric({ args: {}, handler: async () => "${text}" });\n`;
    app.write("convex/version.ts", source("one"));
    await app.push();
    expect(await http().query(query("version:get"), {})).toBe("one");
    app.write("convex/version.ts", source("two"));
    await app.push();
    expect(await http().query(query("version:get"), {})).toBe("two");
  });

  it("shows a changed environment at once, also where it was read when the module was evaluated", async () => {
    expect(await http().query(query("reused:mode"), {})).toBe("unset");
    for (const value of ["first", "second"]) {
      expect((await app.convex("env", "set", "MODE", value)).code).toBe(0);
      expect(await http().query(query("reused:mode"), {})).toBe(value);
    }
    expect((await app.convex("env", "remove", "MODE")).code).toBe(0);
    expect(await http().query(query("reused:mode"), {})).toBe("unset");
  });

  it("does not let an ended call go on in another", async () => {
    await http().query(query("reused:dangle"), { token: token() });
    expect(await http().query(query("reused:wakeOthers"), { token: token() })).toBe(false);
    expect(await http().query(query("reused:wakeOthers"), { token: token() })).toBe(false);
  });

  it("keeps a module's state from call to call only where that was asked for", async () => {
    const counts = [];
    for (let call = 0; call < 3; call += 1) {
      counts.push(await http().query(query("reused:count"), { token: token() }));
    }
    if (contexts === "fresh") {
      expect(counts).toEqual([1, 1, 1]);
    } else {
      const [first] = counts as [number];
      expect(counts).toEqual([first, first + 1, first + 2]);
    }
  });

  it("answers from the data rather than from a memory", async () => {
    if (contexts === "reuse") {
      // The operator has asked for what then happens.
      return;
    }
    for (const name of ["red", "blue"]) {
      await http().mutation(mutation("clean:set"), { name });
      expect(await http().query(query("memo:get"), {})).toBe(name);
    }
  });
});

it("tells authors which modules share no context, and why", async () => {
  const server = await FreshetServer.start({ args: ["--lanes", "1"] });
  const app = new TestApp(server, "contexts");
  try {
    await app.push();
    const isTold = (): boolean => /memo: every call evaluates the module again .* at memo\.ts:\d+/.test(server.output);
    await eventually("the reason", () => isTold() || undefined);
    expect(server.output).not.toMatch(/(acting|clean|reused): every call/);
    const before = server.output.length;
    app.write("convex/other.ts", "export const nothing = 1;\n");
    await app.push();
    expect(server.output.slice(before)).not.toContain("every call evaluates");
  } finally {
    app.delete();
    await server.stop();
  }
});

it("tells authors which package is the reason, in its own words, and what they may do", async () => {
  const server = await FreshetServer.start({ args: ["--lanes", "1"] });
  const app = new TestApp(server, "contexts");
  try {
    app.write("node_modules/keeper/package.json", JSON.stringify({ name: "keeper", version: "1.0.0", type: "module", main: "index.js" }));
    app.write("node_modules/keeper/index.js", "let numberOfUses = 0;\n\nexport function use() {\n  numberOfUses += 1;\n  return numberOfUses;\n}\n");
    app.write(
      "convex/packaged.ts",
      'import { queryGeneric as query } from "convex/server";\n// @ts-expect-error -- it has no types\nimport { use } from "keeper";\nexport const used = query({ args: {}, handler: () => use() });\n',
    );
    await app.push();
    const told = await eventually("the reason", () => /packaged: (every call .*)/.exec(server.output)?.[1]);
    expect(told).toContain(
      "every call evaluates the module again (about 1 ms): assigns the module-level variable `numberOfUses` at node_modules/keeper/index.js:4. " +
        "If what `keeper` keeps from call to call cannot matter, export `experimental_reuseContext = true` from the module",
    );
  } finally {
    app.delete();
    await server.stop();
  }
});

it("is found out by the audit when a query depends on what earlier calls left behind", async () => {
  const server = await FreshetServer.start({ args: ["--lanes", "1", "--audit-determinism"] });
  const app = new TestApp(server, "contexts");
  try {
    await app.push();
    const http = new ConvexHttpClient(server.url, { logger: false });
    await http.mutation(mutation("clean:set"), { name: "red" });
    await http.query(query("clean:get"), {});
    for (let call = 1; call <= 3; call += 1) {
      expect(await http.query(query("reused:count"), { token: token() })).toBe(call);
    }
    const report = /audit: the query reused:count depends .*: it gave 3(\.0)? in a shared context and 1(\.0)? in a fresh one/;
    await eventually("the report", () => report.test(server.output) || undefined);
    expect(server.output).not.toContain("audit: the query clean:");
  } finally {
    app.delete();
    await server.stop();
  }
});

it("fails no call for the memory that earlier ones have used, where each call has a context of its own", { timeout: 300_000 }, async () => {
  const server = await FreshetServer.start({ args: ["--lanes", "1", "--contexts", "fresh"] });
  const app = new TestApp(server, "contexts");
  try {
    await app.push();
    const long = "x".repeat(300_000);
    const failures: string[] = [];
    let calls = 0;
    /** One client of several, so that the lane is never idle. */
    const client = async (): Promise<void> => {
      const http = new ConvexHttpClient(server.url, { logger: false });
      while (calls < 1_500) {
        calls += 1;
        const call = calls;
        try {
          await http.query(query("reused:count"), { token: call % 10 === 0 ? `${token()}${long}` : token() });
        } catch (error) {
          failures.push(`call ${call}: ${String(error)}`);
        }
      }
    };
    await Promise.all(Array.from({ length: 4 }, client));
    expect(failures).toEqual([]);
  } finally {
    app.delete();
    await server.stop();
  }
});
