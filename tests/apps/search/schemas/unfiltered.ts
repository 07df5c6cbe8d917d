import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({ body: v.string(), channel: v.string(), likes: v.optional(v.number()) }).searchIndex("by_body", { searchField: "body" }),
});
