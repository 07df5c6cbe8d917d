/** Corners of what functions may do that are easily lost. */

import { actionGeneric as action, anyApi, internalQueryGeneric as internalQuery, mutationGeneric as mutation, queryGeneric as query } from "convex/server";
import { ConvexError, v } from "convex/values";

import { outcome } from "./outcomes";

// eslint-disable-next-line @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-assignment -- no generated code knows the types
const edges = anyApi.edges as any;

declare const Convex: { jsSyscall: (op: string, args: object) => unknown };

export const environment = query({
  args: {},
  handler: async () => ({
    names: await Promise.all(["a b", "1x", ""].map((name) => outcome(() => process.env[name]))),
    unset: process.env.NOBODY_SET_THIS ?? null,
    assigned: await outcome(() => {
      process.env.NOBODY_SET_THIS = "1";
    }),
  }),
});

export const traced = mutation({
  args: {},
  handler: () => {
    console.trace("here", { a: 1 });
    console.trace();
  },
});

/** Tries to catch what cannot be caught. */
export const unknownJsCallInQuery = query({ args: {}, handler: async () => await outcome(() => Convex.jsSyscall("nonsense", {})) });
export const unknownJsCallInAction = action({ args: {}, handler: async () => await outcome(() => Convex.jsSyscall("nonsense", {})) });

export const abortedBefore = action({
  args: { url: v.string() },
  handler: async (_ctx, { url }) => await outcome(async () => (await fetch(url, { signal: AbortSignal.abort() })).status),
});

/** Throws in every way there is. */
export const throwing = internalQuery({
  args: { what: v.string() },
  handler: (_ctx, { what }): null => {
    const named = (name: string, message: string): Error => Object.assign(new Error(message), { name });
    const marker = Symbol("marker");
    const things: Record<string, unknown> = {
      string: "foo",
      number: 5,
      object: { a: 1 },
      undefined: undefined,
      symbol: Symbol("x"),
      emptyMessage: new Error(""),
      emptyName: named("", "text"),
      nothing: named("", ""),
      subclass: new TypeError("text"),
      long: new Error("x".repeat(100_000)),
      data: new ConvexError({ a: 1n, b: [null] }),
      noData: new ConvexError(undefined as never),
      badData: Object.assign(new Error("text"), { ConvexErrorSymbol: marker, [marker]: true, data: "{nonsense" }),
    };
    throw things[what];
  },
});

export const thrown = query({
  args: { what: v.string() },
  // eslint-disable-next-line @typescript-eslint/no-unsafe-member-access -- see above
  handler: async (ctx, { what }) => await outcome(() => ctx.runQuery(edges.throwing, { what })),
});

/** Returns what is no value, or not one of the right kind. */
export const returning = query({
  args: { what: v.string() },
  handler: (ctx, { what }): unknown => {
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    let deep: unknown = 1;
    for (let level = 0; level < 65; level += 1) {
      deep = [deep];
    }
    const things: Record<string, unknown> = {
      query: ctx.db.query("rows"),
      loneSurrogate: "\ud800",
      deep,
      long: new Array(8193).fill(1),
      wide: Object.fromEntries(Array.from({ length: 1025 }, (_, n) => [`f${n}`, 1])),
      noPrototype: Object.create(null) as object,
    };
    return things[what];
  },
});

/** A nested call whose arguments or result do not fit. */
export const picky = internalQuery({ args: { text: v.string() }, returns: v.string(), handler: (_ctx, { text }) => (text === "wrong" ? (1 as never) : text) });
export const nestedMismatch = query({
  args: {},
  // eslint-disable-next-line @typescript-eslint/no-unsafe-member-access -- see above
  handler: async (ctx) => [await outcome(() => ctx.runQuery(edges.picky, { text: 5 })), await outcome(() => ctx.runQuery(edges.picky, { text: "wrong" }))],
});
export const actionMismatch = action({
  args: {},
  // eslint-disable-next-line @typescript-eslint/no-unsafe-member-access -- see above
  handler: async (ctx) => [await outcome(() => ctx.runQuery(edges.picky, { text: 5 })), await outcome(() => ctx.runQuery(edges.picky, { text: "wrong" }))],
});

/** Waits for an answer. */
export const hold = action({ args: { url: v.string() }, handler: async (_ctx, { url }) => (await fetch(url)).status });

/** Calls that many actions at once. */
export const crowd = action({
  args: { url: v.string(), calls: v.number() },
  // eslint-disable-next-line @typescript-eslint/no-unsafe-member-access -- see above
  handler: async (ctx, { url, calls }): Promise<number> => (await Promise.all(Array.from({ length: calls }, () => ctx.runAction(edges.hold, { url })))).length,
});
