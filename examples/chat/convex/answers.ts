/**
 * The life of one answer, from placeholder to its last word.
 *
 * Whoever writes to an answer shows the key of its stream. The row in `answerStreams` goes when the
 * answer ends, so nothing writes to an answer that has ended. These functions never call the model.
 */
import { v } from "convex/values";
import { internal } from "./_generated/api";
import type { Doc, Id } from "./_generated/dataModel";
import type { MutationCtx, QueryCtx } from "./_generated/server";
import { internalMutation, mutation } from "./_generated/server";
import { ANSWER_CHARS_MAX, STREAM_SILENCE_MS_MAX, UNCLAIMED_MS_MAX } from "./limits";

/** Why a request for an answer is refused. */
export type ClaimRefusal = "unknown" | "taken";

/**
 * Takes the answer for one stream. Exactly one caller with the right key gets `null`; the next gets
 * `taken`, and a caller with a wrong id or key gets `unknown`.
 */
export const claim = internalMutation({
  // The id comes from an HTTP body, so it is only a string until it has been looked at here.
  args: { answer: v.string(), key: v.string() },
  handler: async (ctx, args): Promise<ClaimRefusal | null> => {
    const answer = ctx.db.normalizeId("messages", args.answer);
    const stream = answer && (await streamOf(ctx, answer));
    if (stream?.key !== args.key) return "unknown";
    if (stream.claimed) return "taken";
    await ctx.db.patch(stream._id, { claimed: true, touchedAt: Date.now() });
    await ctx.db.patch(stream.answer, { answer: { status: "streaming" } });
    return null;
  },
});

/** Stores the whole text so far. Returns whether the stream may go on. */
export const write = internalMutation({
  args: { answer: v.id("messages"), key: v.string(), body: v.string() },
  handler: async (ctx, { answer, key, body }): Promise<boolean> => {
    const stream = await claimedStreamOf(ctx, answer, key);
    if (!stream) return false;
    await ctx.db.patch(answer, { body: body.slice(0, ANSWER_CHARS_MAX) });
    await ctx.db.patch(stream._id, { touchedAt: Date.now() });
    return true;
  },
});

/** Says that the stream is alive. Touches nothing that the list of messages reads. */
export const beat = internalMutation({
  args: { answer: v.id("messages"), key: v.string() },
  handler: async (ctx, { answer, key }) => {
    const stream = await claimedStreamOf(ctx, answer, key);
    if (stream) await ctx.db.patch(stream._id, { touchedAt: Date.now() });
  },
});

/** Stores the last text and ends the answer: `complete`, or `failed` where there is a problem to tell. */
export const finish = internalMutation({
  args: {
    answer: v.id("messages"),
    key: v.string(),
    body: v.string(),
    problem: v.union(v.string(), v.null()),
  },
  handler: async (ctx, { answer, key, body, problem }): Promise<boolean> => {
    const stream = await claimedStreamOf(ctx, answer, key);
    if (!stream) return false;
    await ctx.db.patch(answer, {
      body: body.slice(0, ANSWER_CHARS_MAX),
      answer: problem === null ? { status: "complete" } : { status: "failed", problem },
    });
    await ctx.db.delete(stream._id);
    return true;
  },
});

/**
 * The author's page says that its request for the answer never arrived. Does nothing once a stream
 * has taken the answer: from then on only the stream knows how it ends.
 */
export const abandon = mutation({
  args: { answer: v.id("messages"), key: v.string() },
  handler: async (ctx, { answer, key }) => {
    const stream = await streamOf(ctx, answer);
    if (stream?.key !== key || stream.claimed) return;
    await ctx.db.patch(answer, {
      answer: { status: "failed", problem: "The question did not reach the model." },
    });
    await ctx.db.delete(stream._id);
  },
});

/**
 * Looks after an answer whose author or stream may be gone, and ends it when it has been silent too
 * long. Schedules itself again for as long as the answer is not finished.
 */
export const watch = internalMutation({
  args: { answer: v.id("messages") },
  handler: async (ctx, { answer }) => {
    const stream = await streamOf(ctx, answer);
    if (!stream) return;
    const silence_ms_max = stream.claimed ? STREAM_SILENCE_MS_MAX : UNCLAIMED_MS_MAX;
    const left_ms = stream.touchedAt + silence_ms_max - Date.now();
    if (left_ms > 0) {
      await ctx.scheduler.runAfter(left_ms, internal.answers.watch, { answer });
      return;
    }
    const problem = stream.claimed
      ? "The answer stopped before its end."
      : "The author left before the question reached the model.";
    await ctx.db.patch(answer, { answer: { status: "interrupted", problem } });
    await ctx.db.delete(stream._id);
  },
});

function streamOf(ctx: QueryCtx, answer: Id<"messages">): Promise<Doc<"answerStreams"> | null> {
  return ctx.db
    .query("answerStreams")
    .withIndex("by_answer", (q) => q.eq("answer", answer))
    .unique();
}

async function claimedStreamOf(
  ctx: MutationCtx,
  answer: Id<"messages">,
  key: string,
): Promise<Doc<"answerStreams"> | null> {
  const stream = await streamOf(ctx, answer);
  return stream?.claimed && stream.key === key ? stream : null;
}
