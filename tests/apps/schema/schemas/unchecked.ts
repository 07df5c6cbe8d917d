/** Nothing is checked, but the index is there. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({ string: defineTable({ x: v.string() }).index("by_x", ["x"]) }, { schemaValidation: false });
