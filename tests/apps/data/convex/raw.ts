/** Host calls as they are, without the checks that the client package makes before them. */

import { v } from "convex/values";

import { mutation, query } from "./_generated/server";

declare const Convex: {
  syscall(op: string, args: string): string;
  asyncSyscall(op: string, args: string): Promise<string>;
};

const calls = { calls: v.array(v.object({ op: v.string(), args: v.string(), sync: v.optional(v.boolean()) })) };

interface Reply {
  /** JSON text of the reply, or null if the call failed. */
  reply: string | null;
  error: string | null;
  /** JSON text of the error's data. */
  data: string | null;
}

async function run(list: { op: string; args: string; sync?: boolean }[]): Promise<Reply[]> {
  const replies: Reply[] = [];
  for (const { op, args, sync } of list) {
    try {
      const reply = sync === true ? Convex.syscall(op, args) : await Convex.asyncSyscall(op, args);
      replies.push({ reply, error: null, data: null });
    } catch (thrown) {
      const { message, data } = thrown as { message: string; data?: unknown };
      replies.push({ reply: null, error: message, data: data === undefined ? null : JSON.stringify(data) });
    }
  }
  return replies;
}

export const inQuery = query({ args: calls, handler: async (_ctx, args) => await run(args.calls) });

export const inMutation = mutation({ args: calls, handler: async (_ctx, args) => await run(args.calls) });
