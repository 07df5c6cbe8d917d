/** The body of a request for an answer, read strictly. Pure: knows neither HTTP nor the database. */
import { ANSWER_CHARS_MAX, ANSWER_REQUEST_CHARS_MAX, AUTHOR_CHARS_MAX, CONTEXT_MESSAGES_MAX } from "./limits";

/** One message as the model is shown it. */
export type ContextMessage = { author: string; body: string; fromModel: boolean };

/** What the author's page sends to get an answer. */
export type AnswerRequest = { answer: string; key: string; context: ContextMessage[] };

/** Either the request, or what is wrong with it in words for the caller. */
export type ParsedAnswerRequest = { request: AnswerRequest } | { problem: string };

/** Ids and keys are short; anything longer is not one of ours. */
const TOKEN_CHARS_MAX = 100;

/** Reads a request body. Never throws. */
export function parseAnswerRequest(text: string): ParsedAnswerRequest {
  if (text.length > ANSWER_REQUEST_CHARS_MAX) {
    return { problem: `The body is longer than ${ANSWER_REQUEST_CHARS_MAX} characters.` };
  }
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    return { problem: "The body is not JSON." };
  }
  if (!isRecord(body)) return { problem: "The body is not an object." };
  const { answer, key, context } = body;
  if (!isText(answer, TOKEN_CHARS_MAX)) return { problem: "“answer” is not the id of a message." };
  if (!isText(key, TOKEN_CHARS_MAX)) return { problem: "“key” is not the key of an answer." };
  if (!Array.isArray(context) || context.length === 0 || context.length > CONTEXT_MESSAGES_MAX) {
    return { problem: `“context” is not a list of 1 to ${CONTEXT_MESSAGES_MAX} messages.` };
  }
  const messages: ContextMessage[] = [];
  for (const entry of context as unknown[]) {
    if (
      !isRecord(entry) ||
      !isText(entry.author, AUTHOR_CHARS_MAX) ||
      !isText(entry.body, ANSWER_CHARS_MAX) ||
      typeof entry.fromModel !== "boolean"
    ) {
      return { problem: "“context” holds something that is not a message." };
    }
    messages.push({ author: entry.author, body: entry.body, fromModel: entry.fromModel });
  }
  return { request: { answer, key, context: messages } };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, chars_max: number): value is string {
  return typeof value === "string" && value !== "" && value.length <= chars_max;
}
