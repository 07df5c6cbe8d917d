import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  items: defineTable({ list: v.string(), n: v.number() }).index("by_list_n", ["list", "n"]),
});
