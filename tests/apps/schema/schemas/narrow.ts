/** Like `rows`, but every row has to be looked at: what it allows is not provably more than before. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.record(v.string(), v.number())), extra: v.optional(v.null()) }),
  notes: defineTable({ text: v.any() }),
});
