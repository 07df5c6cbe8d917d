import { expect, test, vi } from "vitest";
import { AnswerSaver } from "../convex/answerSaver";

/** A write that the test lets through one at a time. */
function gate() {
  const started: string[] = [];
  const open: ((goOn: boolean) => void)[] = [];
  return {
    started,
    write: (text: string) => {
      started.push(text);
      return new Promise<boolean>((resolve) => open.push(resolve));
    },
    letThrough: async (goOn = true) => {
      open.shift()?.(goOn);
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

test("while one write is under way only the newest text waits", async () => {
  const { started, write, letThrough } = gate();
  const saver = new AnswerSaver(write);
  saver.save("a");
  saver.save("ab");
  saver.save("abc");
  expect(started).toEqual(["a"]);
  await letThrough();
  expect(started).toEqual(["a", "abc"]);
  await letThrough();
  saver.save("abcd");
  expect(started).toEqual(["a", "abc", "abcd"]);
});

test("a refused write is the last one", async () => {
  const { started, write, letThrough } = gate();
  const saver = new AnswerSaver(write);
  saver.save("a");
  saver.save("ab");
  await letThrough(false);
  expect(saver.refused).toBe(true);
  saver.save("abc");
  expect(started).toEqual(["a"]);
});

test("stopping waits for the write under way and drops what waits", async () => {
  const { started, write, letThrough } = gate();
  const saver = new AnswerSaver(write);
  saver.save("a");
  saver.save("ab");
  let stopped = false;
  const stop = saver.stop().then(() => (stopped = true));
  await Promise.resolve();
  expect(stopped).toBe(false);
  await letThrough();
  await stop;
  expect(started).toEqual(["a"]);
});

test("a failed write does not stop the next one", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const texts: string[] = [];
  const saver = new AnswerSaver((text) => {
    texts.push(text);
    return texts.length === 1 ? Promise.reject(new Error("busy")) : Promise.resolve(true);
  });
  saver.save("a");
  await saver.stop();
  saver.save("ab");
  await saver.stop();
  expect(texts).toEqual(["a", "ab"]);
  expect(warn).toHaveBeenCalledOnce();
  warn.mockRestore();
});
