/**
 * Carries one answer from the model to two places: every token to the author, and the text to the
 * database in batches. The database gets the whole answer whether or not the author stays.
 */
import { internal } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import type { ActionCtx } from "./_generated/server";
import { AnswerBatch } from "./answerBatch";
import type { AnswerPulse } from "./answerPulse";
import { AnswerSaver } from "./answerSaver";
import { ANSWER_CHARS_MAX } from "./limits";
import { modelProblem } from "./modelCall";

/** An answer that this request has claimed. */
export type ClaimedAnswer = { answer: Id<"messages">; key: string };

/** Runs until the model has finished and the last text is stored; stops the pulse. Never rejects. */
export async function relayAnswer(
  ctx: ActionCtx,
  claimed: ClaimedAnswer,
  tokens: AsyncIterable<string>,
  pulse: AnswerPulse,
  author: WritableStreamDefaultWriter<Uint8Array>,
): Promise<void> {
  const batch = new AnswerBatch(ANSWER_CHARS_MAX);
  const saver = new AnswerSaver((body) => ctx.runMutation(internal.answers.write, { ...claimed, body }));
  const encoder = new TextEncoder();
  let problem: string | null = null;
  try {
    for await (const token of tokens) {
      const { taken, due } = batch.push(token);
      // Not awaited: an author who reads slowly must not slow down the others, and what waits here
      // is at most one answer, whose length is bounded. It fails once the author has left: so be it.
      author.write(encoder.encode(taken)).catch(() => undefined);
      if (due) saver.save(batch.text);
      if (batch.full || saver.refused) break;
    }
  } catch (error) {
    console.error("The model call failed in the middle of an answer", error);
    problem = modelProblem(error);
  }
  pulse.stop();
  await saver.stop();
  await finishAnswer(ctx, claimed, batch.text, problem);
  // Only now: an action may be stopped as soon as its response has ended.
  await author.close().catch(() => undefined);
}

/** Stores how the answer ended. Never rejects: what is not stored here is ended by `answers.watch`. */
export async function finishAnswer(
  ctx: ActionCtx,
  claimed: ClaimedAnswer,
  body: string,
  problem: string | null,
): Promise<void> {
  try {
    await ctx.runMutation(internal.answers.finish, { ...claimed, body, problem });
  } catch (error) {
    console.error("The end of an answer was not stored", error);
  }
}
