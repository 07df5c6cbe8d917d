/** The call to the model, through the `openai` package. Knows nothing of messages' ids or of HTTP. */
import OpenAI, { APIConnectionError, APIError, APIUserAbortError } from "openai";
import type { ChatCompletionMessageParam } from "openai/resources/chat/completions";
import type { ContextMessage } from "./answerRequest";
import { MODEL_SILENCE_MS_MAX } from "./limits";
import type { ModelSettings } from "./modelSettings";

const INSTRUCTIONS =
  "You take part in a group chat as “gpt”. Each line of the others starts with the name of who wrote it. " +
  "Answer the last message that mentions @gpt, in a friendly tone, in plain text, in at most two short paragraphs.";

/** Bounds what one answer can cost. The chat cuts by characters as well. */
const ANSWER_TOKENS_MAX = 1_000;

/**
 * Asks the model, and resolves when it has begun to answer. The text then comes piece by piece;
 * ending the loop early ends the request.
 *
 * Rejects, also in the middle, when the call fails or the model is silent for too long.
 */
export async function openModelStream(
  settings: ModelSettings,
  context: ContextMessage[],
): Promise<AsyncIterable<string>> {
  const client = new OpenAI({
    apiKey: settings.apiKey,
    baseURL: settings.baseURL,
    maxRetries: 1,
    timeout: MODEL_SILENCE_MS_MAX,
  });
  const abort = new AbortController();
  const stream = await client.chat.completions.create(
    {
      model: settings.model,
      messages: [{ role: "system", content: INSTRUCTIONS }, ...context.map(modelMessage)],
      max_completion_tokens: ANSWER_TOKENS_MAX,
      stream: true,
    },
    { signal: abort.signal },
  );
  return tokens(stream, abort);
}

/** What went wrong, in words that every reader of the chat may see: no address, no part of a key. */
export function modelProblem(error: unknown): string {
  if (error instanceof APIUserAbortError) return "The model stopped talking.";
  if (error instanceof APIConnectionError) return "The model can not be reached.";
  if (error instanceof APIError) {
    const status: unknown = error.status;
    return typeof status === "number" ? `The model answered with error ${status}.` : "The model reported an error.";
  }
  return "The connection to the model broke.";
}

async function* tokens(
  stream: AsyncIterable<OpenAI.Chat.Completions.ChatCompletionChunk>,
  abort: AbortController,
): AsyncGenerator<string> {
  // The package's own time limit ends with the response headers.
  const silence = (): ReturnType<typeof setTimeout> =>
    setTimeout(() => { abort.abort(); }, MODEL_SILENCE_MS_MAX);
  let timer = silence();
  let finished = false;
  try {
    for await (const chunk of stream) {
      clearTimeout(timer);
      timer = silence();
      const choice = chunk.choices[0];
      if (choice?.delta.content) yield choice.delta.content;
      if (choice?.finish_reason) finished = true;
    }
  } finally {
    clearTimeout(timer);
  }
  if (abort.signal.aborted) throw new APIUserAbortError();
  // A connection that closes early can look like an end; only the finish reason tells them apart.
  if (!finished) throw new Error("The stream of the model ended without a finish reason");
}

function modelMessage({ author, body, fromModel }: ContextMessage): ChatCompletionMessageParam {
  return fromModel
    ? { role: "assistant", content: body }
    : { role: "user", content: `${author}: ${body}` };
}
