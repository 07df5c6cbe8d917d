/** Keeps nothing: its calls may share a context. */
import { mutationGeneric, queryGeneric } from "convex/server";
import { type GenericId, v } from "convex/values";

interface Setting {
  _id: GenericId<"settings">;
  name: string;
}

export const set = mutationGeneric({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    for (const row of (await ctx.db.query("settings").collect()) as Setting[]) {
      await ctx.db.delete(row._id);
    }
    await ctx.db.insert("settings", { name });
  },
});

export const get = queryGeneric({
  args: {},
  handler: async (ctx): Promise<string | null> => {
    const first = (await ctx.db.query("settings").first()) as Setting | null;
    return first?.name ?? null;
  },
});
