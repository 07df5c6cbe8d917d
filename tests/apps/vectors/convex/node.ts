"use node";

import { actionGeneric } from "convex/server";
import { v } from "convex/values";

import { nearest, type Search } from "./search.js";

export const search = actionGeneric({
  args: { search: v.any() },
  handler: async (ctx, args) => nearest(ctx, args.search as Search),
});
