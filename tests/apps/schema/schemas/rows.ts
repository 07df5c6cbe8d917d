/** A table for many rows, as most tests begin with it. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) }),
  notes: defineTable({ text: v.any() }),
});
