/** Remembers what it read, which is harmless only where each call has a context of its own. */
import { queryGeneric } from "convex/server";

let remembered: string | null | undefined;

export const get = queryGeneric({
  args: {},
  handler: async (ctx): Promise<string | null> => {
    remembered ??= ((await ctx.db.query("settings").first()) as { name: string } | null)?.name ?? null;
    return remembered;
  },
});
