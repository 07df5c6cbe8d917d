import { describe, expect, it } from "vitest";

import { inspect } from "../src/inspect.ts";

class Point {
  x = 1;
}

describe("values on a console line", () => {
  it("quotes strings and escapes quotes", () => {
    expect(inspect("it's")).toBe("'it\\'s'");
  });

  it("shows numbers so that they can be told apart", () => {
    expect([10n, -0, null, undefined].map(inspect)).toEqual(["10n", "-0", "null", "undefined"]);
  });

  it("keeps flat arrays on one line and nested objects on several", () => {
    expect(inspect([1, "a", [2]])).toBe("[ 1, 'a', [ 2 ] ]");
    expect(inspect({ a: 1 })).toBe("{\n  a: 1\n}");
    expect(inspect([{ a: 1 }])).toBe("[\n  {\n    a: 1\n  }\n]");
    expect([{}, []].map(inspect)).toEqual(["{}", "[]"]);
  });

  it("names classes, functions, errors and collections", () => {
    expect(inspect(new Point())).toBe("Point {\n  x: 1\n}");
    expect(inspect(function foo() { return 1; })).toBe("[Function: foo]");
    expect(inspect(new Error("boom"))).toBe("[Error: boom]");
    expect(inspect(new Map([["k", 1]]))).toBe("Map (1) {\n  'k' => 1\n}");
    expect(inspect(new Set())).toBe("Set (0) {}");
    expect(inspect(Object.create(null))).toBe("[Object: null prototype] {}");
  });

  it("ends cycles and deep nesting", () => {
    const cycle: Record<string, unknown> = {};
    cycle.self = cycle;
    expect(inspect(cycle)).toBe("{\n  self: [Circular]\n}");
    let deep: unknown = 1;
    for (let level = 0; level < 10_000; level += 1) {
      deep = { deep };
    }
    expect(inspect(deep)).toContain("[Object]");
  });

  it("survives getters and proxies that throw", () => {
    const hostile = {
      get trap(): never {
        throw new Error("no");
      },
    };
    const proxy = new Proxy({}, { ownKeys: () => { throw new Error("no"); } });
    expect(inspect([hostile, proxy])).toBe("[ [Object], [Object] ]");
  });

  it("cuts long strings and says how much is missing", () => {
    expect(inspect("x".repeat(32_770))).toMatch(/x'\.\.\. 2 more characters$/);
  });
});
