import { expect, test } from "vitest";
import { AnswerBatch, UNWRITTEN_CHARS_MAX } from "../convex/answerBatch";

function dueAfter(tokens: string[], charsMax = 1_000): string[] {
  const batch = new AnswerBatch(charsMax);
  const writes: string[] = [];
  for (const token of tokens) if (batch.push(token).due) writes.push(batch.text);
  return writes;
}

test("words without a delimiter are not written", () => {
  expect(dueAfter(["the", " quick", " brown", " fox"])).toEqual([]);
});

test.each([".", "?", "!", ",", "\n"])("a write is due at %j", (delimiter) => {
  expect(dueAfter(["one", delimiter, " two"])).toEqual([`one${delimiter}`]);
});

test("a delimiter inside a token makes the whole text so far due", () => {
  expect(dueAfter(["Well", ", then", " we", " go. And"])).toEqual(["Well, then", "Well, then we go. And"]);
});

test("text without a delimiter is written once more than the bound has gathered", () => {
  const bound = "x".repeat(UNWRITTEN_CHARS_MAX);
  expect(dueAfter([bound])).toEqual([]);
  expect(dueAfter([bound, "y"])).toEqual([`${bound}y`]);
});

test("the bound counts from the last write", () => {
  const half = "x".repeat(UNWRITTEN_CHARS_MAX / 2);
  expect(dueAfter([`${half}.`, half, half])).toEqual([`${half}.`]);
  expect(dueAfter([`${half}.`, half, half, "y"])).toHaveLength(2);
});

test("an answer takes no more than its bound", () => {
  const batch = new AnswerBatch(5);
  expect(batch.push("abc")).toEqual({ taken: "abc", due: false });
  expect(batch.full).toBe(false);
  expect(batch.push("defg.")).toEqual({ taken: "de", due: false });
  expect(batch.full).toBe(true);
  expect(batch.text).toBe("abcde");
});
