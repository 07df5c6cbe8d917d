/** Functions whose results and errors are a burden. */

import { v } from "convex/values";

import { queryGeneric as query } from "convex/server";

export const log = query({
  args: {},
  handler: (): string => {
    for (let line = 0; line < 1000; line += 1) {
      console.log("x".repeat(10_000));
    }
    return "logged";
  },
});

export const huge = query({
  args: {},
  handler: (): string[] => new Array<string>(100).fill("x".repeat(1_000_000)),
});

/** Throws whatever it is given. */
function raise(value: unknown): never {
  throw value as Error;
}

export const thrown = query({
  args: { what: v.string() },
  handler: (_ctx, { what }): null => {
    switch (what) {
      case "null":
        return raise(null);
      case "undefined":
        return raise(undefined);
      case "number":
        return raise(7);
      case "symbol":
        return raise(Symbol("s"));
      case "function":
        return raise(() => 1);
      case "proxy":
        return raise(new Proxy({}, { get: () => { throw new Error("trap"); }, getPrototypeOf: () => { throw new Error("trap"); } }));
      case "getter":
        throw Object.defineProperty(new Error("x"), "message", { get: () => { throw new Error("getter"); } });
      case "stack":
        throw Object.defineProperty(new Error("stackless"), "stack", { get: () => { throw new Error("getter"); } });
      default:
        return raise("text");
    }
  },
});

export const getter = query({
  args: {},
  handler: (): unknown => ({
    get value(): never {
      throw new Error("in a getter");
    },
  }),
});

export const proxy = query({
  args: {},
  handler: (): unknown => new Proxy({}, { ownKeys: () => { throw new Error("in a trap"); } }),
});

export const cycle = query({
  args: {},
  handler: (): unknown => {
    const cycle: Record<string, unknown> = {};
    cycle.cycle = cycle;
    return cycle;
  },
});
