/** Reading the chat and adding to it. What happens to an answer after its placeholder is in `answers.ts`. */
import { ConvexError, v } from "convex/values";
import { internal } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import type { MutationCtx } from "./_generated/server";
import { internalMutation, mutation, query } from "./_generated/server";
import type { ContextMessage } from "./answerRequest";
import {
  AUTHOR_CHARS_MAX,
  CONTEXT_MESSAGES_MAX,
  LISTED_MESSAGES_MAX,
  MESSAGE_CHARS_MAX,
  UNCLAIMED_MS_MAX,
} from "./limits";
import { MODEL_AUTHOR, mentionsModel } from "./mention";

/** The newest messages, oldest of them first. */
export const list = query({
  args: {},
  handler: async (ctx) => {
    const newest = await ctx.db.query("messages").order("desc").take(LISTED_MESSAGES_MAX);
    return newest.reverse();
  },
});

/** What the author of a question needs to fetch its answer. `key` is for the author alone. */
export type AnswerTicket = { answer: Id<"messages">; key: string; context: ContextMessage[] };

/**
 * Adds a message. When it mentions the model, also adds the placeholder for the answer, and returns
 * the ticket with which the author's page asks for it.
 */
export const send = mutation({
  args: { author: v.string(), body: v.string() },
  handler: async (ctx, args): Promise<{ message: Id<"messages">; ticket: AnswerTicket | null }> => {
    const author = args.author.trim();
    const body = args.body.trim();
    if (author === "" || author.length > AUTHOR_CHARS_MAX) {
      throw new ConvexError(`A name has 1 to ${AUTHOR_CHARS_MAX} characters.`);
    }
    if (author.toLowerCase() === MODEL_AUTHOR) {
      throw new ConvexError(`The name “${MODEL_AUTHOR}” belongs to the model.`);
    }
    if (body === "" || body.length > MESSAGE_CHARS_MAX) {
      throw new ConvexError(`A message has 1 to ${MESSAGE_CHARS_MAX} characters.`);
    }
    const message = await ctx.db.insert("messages", { author, body });
    const ticket = mentionsModel(body) ? await openAnswer(ctx) : null;
    return { message, ticket };
  },
});

/** Adds a message as it is. For the opening conversation: it never calls the model. */
export const post = internalMutation({
  args: { author: v.string(), body: v.string() },
  handler: async (ctx, { author, body }) => {
    await ctx.db.insert("messages", { author, body });
  },
});

async function openAnswer(ctx: MutationCtx): Promise<AnswerTicket> {
  // Before the placeholder, so that the question is the last thing the model reads.
  const newest = await ctx.db.query("messages").order("desc").take(CONTEXT_MESSAGES_MAX);
  const context = newest
    .reverse()
    .filter((message) => message.body !== "")
    .map(({ author, body, answer }) => ({ author, body, fromModel: answer !== undefined }));

  const answer = await ctx.db.insert("messages", {
    author: MODEL_AUTHOR,
    body: "",
    answer: { status: "waiting" },
  });
  const key = crypto.randomUUID();
  await ctx.db.insert("answerStreams", { answer, key, claimed: false, touchedAt: Date.now() });
  await ctx.scheduler.runAfter(UNCLAIMED_MS_MAX, internal.answers.watch, { answer });
  return { answer, key, context };
}
