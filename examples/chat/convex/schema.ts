/** The tables of the chat. */
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

/**
 * How far an answer of the model has come:
 * - `waiting`: the placeholder is there, and nothing has come from the model yet;
 * - `streaming`: text is arriving;
 * - `complete`: the model has finished;
 * - `failed`: the model call failed, `problem` says how;
 * - `interrupted`: the stream ended without telling its end, `problem` says why.
 */
export const answerStatus = v.union(
  v.literal("waiting"),
  v.literal("streaming"),
  v.literal("complete"),
  v.literal("failed"),
  v.literal("interrupted"),
);

export default defineSchema({
  messages: defineTable({
    author: v.string(),
    body: v.string(),
    /** Only on messages that the model writes. */
    answer: v.optional(v.object({ status: answerStatus, problem: v.optional(v.string()) })),
  }),

  /**
   * One row for each answer that is not finished. It holds the key without which nobody may write to
   * the answer, and it is a table of its own because everyone can read `messages`.
   */
  answerStreams: defineTable({
    answer: v.id("messages"),
    key: v.string(),
    /** Set by the first request for the answer: a second one is refused. */
    claimed: v.boolean(),
    /** When the stream last gave a sign of life, in ms since the epoch. */
    touchedAt: v.number(),
  }).index("by_answer", ["answer"]),
});
