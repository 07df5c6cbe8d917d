/** The HTTP side of the chat: the author of a question fetches the answer here, token by token. */
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import type { ActionCtx } from "./_generated/server";
import { httpAction } from "./_generated/server";
import type { ClaimRefusal } from "./answers";
import { AnswerPulse } from "./answerPulse";
import { finishAnswer, relayAnswer } from "./answerRelay";
import { parseAnswerRequest } from "./answerRequest";
import { STREAM_PULSE_MS } from "./limits";
import { modelProblem, openModelStream } from "./modelCall";
import { modelSettings } from "./modelSettings";

/** Any page may ask: what counts is the key in the body, and no cookies are involved. */
const CORS = { "Access-Control-Allow-Origin": "*", Vary: "Origin" };

const REFUSALS: Record<ClaimRefusal, { status: number; text: string }> = {
  unknown: { status: 403, text: "There is no open answer with this id and key." },
  taken: { status: 409, text: "This answer is already being fetched." },
};

const http = httpRouter();

http.route({
  path: "/answer",
  method: "OPTIONS",
  handler: httpAction(() =>
    Promise.resolve(
      new Response(null, {
        status: 204,
        headers: {
          ...CORS,
          "Access-Control-Allow-Methods": "POST, OPTIONS",
          "Access-Control-Allow-Headers": "Content-Type",
          "Access-Control-Max-Age": "86400",
        },
      }),
    ),
  ),
});

http.route({
  path: "/answer",
  method: "POST",
  handler: httpAction(async (ctx: ActionCtx, request) => {
    const parsed = parseAnswerRequest(await request.text());
    if ("problem" in parsed) return text(400, parsed.problem);
    const { answer, key, context } = parsed.request;

    const refusal = await ctx.runMutation(internal.answers.claim, { answer, key });
    if (refusal !== null) return text(REFUSALS[refusal].status, REFUSALS[refusal].text);
    // The claim has found the message by this id.
    const claimed = { answer: answer as Id<"messages">, key };

    const settings = modelSettings();
    if (settings === null) {
      const problem = "No model is set up: the deployment has neither OPENAI_API_KEY nor OPENAI_BASE_URL.";
      await finishAnswer(ctx, claimed, "", problem);
      return text(503, problem);
    }
    const pulse = new AnswerPulse(STREAM_PULSE_MS, () => ctx.runMutation(internal.answers.beat, claimed));
    let tokens: AsyncIterable<string>;
    try {
      tokens = await openModelStream(settings, context);
    } catch (error) {
      pulse.stop();
      console.error("The model call failed", error);
      const problem = modelProblem(error);
      await finishAnswer(ctx, claimed, "", problem);
      return text(502, problem);
    }

    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    // Goes on after the response has begun; it handles its own failures.
    void relayAnswer(ctx, claimed, tokens, pulse, writable.getWriter());
    return new Response(readable, {
      headers: { ...CORS, "Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store" },
    });
  }),
});

function text(status: number, body: string): Response {
  return new Response(body, {
    status,
    headers: { ...CORS, "Content-Type": "text/plain; charset=utf-8" },
  });
}

export default http;
