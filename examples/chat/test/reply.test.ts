import { expect, test } from "vitest";
import { reply, tokensOf, topicOf } from "../model/reply.mjs";

test("the topic is what is left without the filler", () => {
  expect(topicOf("What do you think of the river's source?")).toEqual(["think", "river", "source"]);
});

test("every answer says that it comes from a stand-in, even to an empty prompt", () => {
  for (const messages of [[], [{ role: "user", content: null }], [{ role: "user", content: "Ada: @gpt" }]]) {
    const answer = reply(messages);
    expect(answer).toMatch(/stand-in model/);
    expect(answer.length).toBeGreaterThan(150);
  }
});

test("the tokens joined are the text", () => {
  const text = "  Two spaces,\n\nthen a  gap. ";
  expect(tokensOf(text).join("")).toBe(text);
});
