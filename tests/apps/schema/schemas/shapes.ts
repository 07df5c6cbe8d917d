/** Indexes over values of every type, nested and missing fields. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  shapes: defineTable({ x: v.optional(v.any()), meta: v.optional(v.any()) }).index("by_x", ["x"]).index("by_rank", ["meta.rank"]),
});
