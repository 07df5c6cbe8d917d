/** Every host call that functions can make, by the names that the client package gives them. */

/* eslint-disable @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-member-access,
   @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-return -- no generated code knows the types */

import {
  actionGeneric as action,
  anyApi,
  createFunctionHandle,
  type FunctionHandle,
  getFunctionAddress,
  httpActionGeneric,
  internalMutationGeneric as internalMutation,
  internalQueryGeneric as internalQuery,
  mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import { v } from "convex/values";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- there is no generated code to take the types from
const host = anyApi.host as any;

export const meta = query({
  args: {},
  handler: async (ctx) => {
    const before = await ctx.meta.getTransactionMetrics();
    await ctx.db.query("rows").collect();
    const after = await ctx.meta.getTransactionMetrics();
    return {
      function: await ctx.meta.getFunctionMetadata(),
      deployment: await ctx.meta.getDeploymentMetadata(),
      snapshot: ctx.meta.getSnapshotTs() > 10n ** 18n,
      names: Object.keys(after).sort(),
      read: after.documentsRead.used - before.documentsRead.used,
      constant: after.documentsRead.used + after.documentsRead.remaining,
    };
  },
});

export const requestMeta = mutation({ args: {}, handler: async (ctx) => await ctx.meta.getRequestMetadata() });

export const actionMeta = action({
  args: {},
  handler: async (ctx) => ({
    function: await ctx.meta.getFunctionMetadata(),
    deployment: await ctx.meta.getDeploymentMetadata(),
    request: await ctx.meta.getRequestMetadata(),
  }),
});

export const httpMeta = httpActionGeneric(async (ctx) => Response.json({ function: await ctx.meta.getFunctionMetadata(), request: await ctx.meta.getRequestMetadata() }));

export const inside = internalQuery({ args: {}, handler: async (ctx) => await ctx.meta.getFunctionMetadata() });
export const add = internalMutation({ args: { n: v.number() }, handler: async (ctx, { n }) => await ctx.db.insert("rows", { n, name: "added" }) });

/** Every write and read of documents. */
export const documents = mutation({
  args: {},
  handler: async (ctx) => {
    const a = await ctx.db.insert("rows", { n: 1, name: "a" });
    const b = await ctx.db.insert("rows", { n: 2, name: "b" });
    await ctx.db.patch(a, { n: 3 });
    await ctx.db.replace(b, { n: 4, name: "B" });
    const rows = await ctx.db.query("rows").withIndex("by_n", (q) => q.gte("n", 3)).order("desc").collect();
    const filtered = await ctx.db.query("rows").filter((q) => q.eq(q.field("name"), "a")).first();
    const page = await ctx.db.query("rows").withIndex("by_n", (q) => q.gte("n", 3)).paginate({ cursor: null, numItems: 1 });
    const streamed: unknown[] = [];
    for await (const row of ctx.db.query("rows").withIndex("by_n", (q) => q.gte("n", 3))) {
      streamed.push(row.n);
      break;
    }
    await ctx.db.delete(a);
    const gone = await ctx.db.get(a);
    const kept = await ctx.db.get(b);
    await ctx.db.delete(b);
    return {
      rows: rows.map(({ n, name }) => [n, name]),
      filtered: filtered?.n,
      page: [page.page.length, page.isDone],
      streamed,
      gone,
      kept: kept?.name,
      ids: [ctx.db.normalizeId("rows", a) === a, ctx.db.normalizeId("rows", "x")],
    };
  },
});

/** Nested calls, handles, the scheduler and identity. */
export const calls = mutation({
  args: {},
  handler: async (ctx) => {
    const nested = await ctx.runQuery(host.inside, {});
    const handle = (await createFunctionHandle(host.add)) as FunctionHandle<"mutation", { n: number }>;
    const same = (await createFunctionHandle(host.add)) === handle;
    const id = (await ctx.runMutation(handle, { n: 9 })) as string;
    await ctx.db.delete(id as never);
    const job = await ctx.scheduler.runAfter(60_000, host.add, { n: 5 });
    const at = await ctx.scheduler.runAt(new Date(Date.now() + 60_000), host.add, { n: 6 });
    await ctx.scheduler.cancel(job);
    await ctx.scheduler.cancel(at);
    const row = await ctx.db.system.get(job);
    return { nested, same, job: row?.state.kind, identity: await ctx.auth.getUserIdentity(), address: typeof getFunctionAddress(host.add) };
  },
});

export const actionCalls = action({
  args: {},
  handler: async (ctx) => {
    const storage = new (globalThis as unknown as { AsyncLocalStorage: new () => { run: <T>(value: string, inside: () => T) => T; getStore: () => string | undefined } }).AsyncLocalStorage();
    const nested = await ctx.runQuery(host.inside, {});
    const id = (await ctx.runMutation(host.add, { n: 7 })) as string;
    const kept = await storage.run("kept", async () => {
      await ctx.runQuery(host.inside, {});
      return storage.getStore();
    });
    const other = (await ctx.runAction(host.actionMeta, {})) as { function: { name: string } };
    const handle = (await createFunctionHandle(host.inside)) as FunctionHandle<"query">;
    const viaHandle = (await ctx.runQuery(handle, {})) as { name: string };
    const job = await ctx.scheduler.runAfter(60_000, host.add, { n: 8 });
    await ctx.scheduler.cancel(job);
    return { nested, id: typeof id, kept, other: other.function.name, viaHandle: viaHandle.name, identity: await ctx.auth.getUserIdentity() };
  },
});

declare const Convex: {
  asyncSyscall: (op: string, args: string) => Promise<string>;
  syscall: (op: string, args: string) => string;
};

/** What each kind answers to operations that it does not have. */
async function unknown(): Promise<string[]> {
  const texts: string[] = [];
  for (const op of ["1.0/nonsense", "1.0/actions/query", "1.0/insert"]) {
    texts.push(await Convex.asyncSyscall(op, "{}").catch((error: unknown) => (error as Error).message));
  }
  try {
    Convex.syscall("1.0/get", "{}");
  } catch (error) {
    texts.push((error as Error).message);
  }
  return texts;
}

export const unknownInQuery = query({ args: {}, handler: async () => await unknown() });
export const unknownInAction = action({ args: {}, handler: async () => (await unknown()).slice(0, 1) });
