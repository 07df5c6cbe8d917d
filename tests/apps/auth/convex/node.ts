"use node";

import { action } from "./_generated/server";

export const who = action({ args: {}, handler: async (ctx) => (await ctx.auth.getUserIdentity())?.subject ?? null });
