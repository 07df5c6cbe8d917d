"use node";

/** What `"use node"` actions meet at the edges of their host calls. */

import { actionGeneric as action, anyApi } from "convex/server";
import { v } from "convex/values";

import { outcome } from "./outcomes";

// eslint-disable-next-line @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-member-access -- no generated code knows the types
const inside = (anyApi.host as any).inside;

declare const Convex: {
  asyncSyscall: (op: string, args: string) => Promise<string>;
  jsSyscall: (op: string, args: object) => unknown;
};

/** Makes that many host calls at once. */
export const atOnce = action({
  args: { calls: v.number() },
   
  handler: async (ctx, { calls }) => await outcome(async () => (await Promise.all(Array.from({ length: calls }, () => ctx.runQuery(inside, {})))).length),
});

export const forgetful = action({
  args: {},
  handler: (ctx) => {
     
    void ctx.runQuery(inside, {});
  },
});

export const notJson = action({ args: {}, handler: async () => await outcome(() => Convex.asyncSyscall("1.0/getUserIdentity", "{")) });

/** Tries to catch what cannot be caught. */
export const unknownJsCall = action({ args: {}, handler: async () => await outcome(() => Convex.jsSyscall("nonsense", {})) });

export const traced = action({
  args: {},
  handler: () => {
    console.trace("here", 1);
  },
});

export const leaveRejection = action({
  args: {},
  handler: async () => {
    void Promise.reject(new Error("left behind"));
    await new Promise((later) => setTimeout(later, 10_000));
  },
});

/** Leaves a rejection as well, after it has taken from the process how it would end. Only its own process has that id. */
export const leaveRejectionAndStay = action({
  args: {},
  handler: async () => {
    const { pid } = process;
    process.exit = (() => undefined) as unknown as typeof process.exit;
    setInterval(() => undefined, 1000);
    void Promise.reject(new Error(`left behind in ${pid}`));
    await new Promise((later) => setTimeout(later, 10_000));
  },
});

export const ping = action({ args: {}, handler: () => "pong" });
