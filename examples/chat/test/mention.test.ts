import { expect, test } from "vitest";
import { bodyPieces, mentionsModel } from "../convex/mention";

test.each(["@gpt hi", "so, @GPT?", "what now @gpt", "(@gpt)"])("%j asks the model", (body) => {
  expect(mentionsModel(body)).toBe(true);
});

test.each(["gpt", "@gpt4", "me@gpt", "@ gpt", "@gpts_", ""])("%j does not", (body) => {
  expect(mentionsModel(body)).toBe(false);
});

test("asking twice gives the same answer", () => {
  expect([mentionsModel("@gpt"), mentionsModel("@gpt")]).toEqual([true, true]);
});

test("the pieces of a message joined are the message", () => {
  const body = "hey @gpt and @GPT, hello";
  const pieces = bodyPieces(body);
  expect(pieces.map((piece) => piece.text).join("")).toBe(body);
  expect(pieces.filter((piece) => piece.mention).map((piece) => piece.text)).toEqual(["@gpt", "@GPT"]);
});
