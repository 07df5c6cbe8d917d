import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  photos: defineTable({ name: v.string(), file: v.id("_storage") }).index("by_name", ["name"]),
});
