import { describe, expect, it } from "vitest";

import type { ContextMode } from "../src/addon.ts";
import type { Outcome } from "../src/outcome.ts";
import { FakeEngine, parts, queries, reply, run } from "./engine.ts";

function lane(source: string, context: ContextMode, calls: string[] = []): ReturnType<typeof parts> {
  const engine = new FakeEngine({ "m.js": source }, (_op, args) => reply(args), calls);
  engine.context = context;
  return parts(engine);
}

function value(outcome: Outcome | undefined): unknown {
  if (outcome?.ok !== true) {
    throw new Error(`no result: ${JSON.stringify(outcome)}`);
  }
  return JSON.parse(outcome.value) as unknown;
}

async function results(of: ReturnType<typeof parts>, ...names: string[]): Promise<unknown[]> {
  const found: unknown[] = [];
  for (const name of names) {
    found.push(value(await run(of, "m.js", name)));
  }
  return found;
}

const COUNTER = `let count = 0; ${queries({ f: "count += 1; return count;" })}`;

describe("a module", () => {
  it("keeps what it holds from call to call only where it shares a context", async () => {
    expect(await results(lane(COUNTER, "fresh"), "f", "f")).toEqual([1, 1]);
    expect(await results(lane(COUNTER, "reuse"), "f", "f")).toEqual([1, 2]);
  });

  it("starts anew with each version of the code", async () => {
    const of = lane(COUNTER, "reuse");
    expect(await results(of, "f", "f")).toEqual([1, 2]);
    of.engine.version = "2";
    expect(await results(of, "f")).toEqual([1]);
  });

  it("of an earlier version is kept for calls that still run it, until older ones are forgotten", async () => {
    const of = lane(COUNTER, "reuse");
    const inVersion = async (version: string): Promise<unknown> => {
      of.engine.version = version;
      return (await results(of, "f"))[0];
    };
    expect([await inVersion("1"), await inVersion("2"), await inVersion("1"), await inVersion("2")]).toEqual([1, 1, 2, 2]);
    of.warmRealms.forgetOlder();
    expect([await inVersion("2"), await inVersion("1")]).toEqual([3, 1]);
  });

  it("is evaluated for each call when that does not come out the same every time", async () => {
    for (const impure of ["Math.random()", "crypto.randomUUID()", "console.log('evaluated')"]) {
      const calls: string[] = [];
      const of = lane(`let count = 0; ${impure}; ${queries({ f: "count += 1; return count;" })}`, "verified", calls);
      expect([impure, ...(await results(of, "f", "f"))]).toEqual([impure, 1, 1]);
      expect(calls.filter((call) => call === "LOG 'evaluated'")).toHaveLength(impure.startsWith("console") ? 2 : 0);
    }
  });

  it("is evaluated for each call when it changes what all modules share", async () => {
    const source = `Array.prototype.last = function () { return this[this.length - 1]; }; ${queries({ f: "return [1, 2].last();" })}`;
    expect(await results(lane(source, "verified"), "f", "f")).toEqual([2, 2]);
  });

  it("fails with its own error when it throws", async () => {
    const outcome = await run(lane(`throw new Error("broken"); ${queries({ f: "" })}`, "verified"), "m.js", "f");
    expect(outcome?.ok === false && outcome.error.message).toBe("Uncaught Error: broken");
  });

  it("sees the environment as it is, and every call depends on what it saw", async () => {
    const calls: string[] = [];
    const of = lane(`const seen = process.env.SET; let count = 0; ${queries({ f: "count += 1; return [seen, count];" })}`, "reuse", calls);
    expect(await results(of, "f", "f")).toEqual([["value", 1], ["value", 2]]);
    expect(calls).toEqual(["env SET", "env SET"]);
    of.engine.env.SET = "changed";
    expect(await results(of, "f")).toEqual([["changed", 1]]);
  });
});

describe.each(["verified", "reuse"] as const)("a call in a %s context", (context) => {
  it("has its own clock, randomness and console timers", async () => {
    const of = lane(queries({ f: "console.time('t'); return [Date.now(), Math.random(), crypto.randomUUID()];" }), context);
    const [first, second] = await results(of, "f", "f");
    expect(second).toEqual(first);
    of.engine.seed = "09";
    const [third] = await results(of, "f");
    expect((third as unknown[])[1]).not.toEqual((first as unknown[])[1]);
  });

  it("gets a context of its own when it changes what all share", async () => {
    const source = queries({
      write: "globalThis.left = 1; Object.prototype.left = 2; Array.prototype.map = () => ['mine']; return [1].map((x) => x);",
      read: "return [globalThis.left ?? null, ({}).left ?? null, [1].map((x) => x + 1)];",
    });
    expect(await results(lane(source, context), "write", "read")).toEqual([["mine"], [null, null, [2]]]);
  });

  it("leaves neither a changed regular expression nor a last match behind", async () => {
    const source = queries({
      write: "RegExp.prototype.test = () => true; /(s)ecret/.exec('secret');",
      match: "/(s)ecret/.exec('secret');",
      read: "return [/a/.test('b'), RegExp.$1];",
    });
    expect(await results(lane(source, context), "read", "write", "read", "match", "read")).toEqual([
      [false, ""], null, [false, ""], null, [false, ""],
    ]);
  });

  it("may call another function, which has a context to itself", async () => {
    const source = queries({
      f: "const one = Convex.asyncSyscall('1.0/runUdf', '{\"name\":\"g\"}'); const two = Convex.asyncSyscall('1.0/get', '1'); return [await one, await two, Math.random()];",
      g: "return Math.random();",
    });
    const calls: string[] = [];
    const [[nested, own]] = (await results(lane(source, context, calls), "f")) as [[string, string]];
    expect([typeof JSON.parse(nested), own]).toEqual(["number", "1"]);
    expect(calls).toEqual(["begin", "end", "1.0/get"]);
  });

  it("is not disturbed by what an ended call still waits for", async () => {
    const calls: string[] = [];
    const source = `let wake; ${queries({
      f: "void (async () => { await new Promise((resolve) => { wake = resolve; }); console.log('late'); await Convex.asyncSyscall('1.0/late', '1'); })(); return 1;",
      g: "wake?.(); await Convex.asyncSyscall('1.0/own', '1'); return 2;",
    })}`;
    expect(await results(lane(source, context, calls), "f", "g")).toEqual([1, 2]);
    expect(calls).toEqual(["1.0/own"]);
  });
});
