import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  notes: defineTable({ owner: v.union(v.string(), v.null()), text: v.string() }).index("by_owner", ["owner"]),
});
