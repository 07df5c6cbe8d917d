import { expect, test } from "vitest";
import { parseAnswerRequest } from "../convex/answerRequest";
import { ANSWER_REQUEST_CHARS_MAX, CONTEXT_MESSAGES_MAX } from "../convex/limits";

const message = { author: "Ada", body: "@gpt hello", fromModel: false };
const valid = { answer: "abc", key: "k", context: [message] };

test("a whole request is taken, and what does not belong to it is left out", () => {
  const parsed = parseAnswerRequest(JSON.stringify({ ...valid, model: "expensive" }));
  expect(parsed).toEqual({ request: valid });
});

test.each([
  ["text", "hello", "not JSON"],
  ["a list", "[]", "not an object"],
  ["null", "null", "not an object"],
  ["no id", JSON.stringify({ ...valid, answer: 7 }), "“answer”"],
  ["an endless id", JSON.stringify({ ...valid, answer: "a".repeat(101) }), "“answer”"],
  ["no key", JSON.stringify({ ...valid, key: "" }), "“key”"],
  ["no context", JSON.stringify({ ...valid, context: [] }), "“context”"],
  ["too much context", JSON.stringify({ ...valid, context: Array(CONTEXT_MESSAGES_MAX + 1).fill(message) }), "“context”"],
  ["a context of strings", JSON.stringify({ ...valid, context: ["hello"] }), "“context”"],
  ["a role as a string", JSON.stringify({ ...valid, context: [{ ...message, fromModel: "no" }] }), "“context”"],
  ["too long a body", JSON.stringify({ ...valid, padding: "x".repeat(ANSWER_REQUEST_CHARS_MAX) }), "longer than"],
])("%s is refused with a reason", (_name, text, reason) => {
  expect(parseAnswerRequest(text)).toMatchObject({ problem: expect.stringContaining(reason) as string });
});
