import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { AnswerPulse } from "../convex/answerPulse";

beforeEach(() => { vi.useFakeTimers(); });
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("beats until it is stopped", () => {
  const beat = vi.fn(() => Promise.resolve());
  const pulse = new AnswerPulse(1_000, beat);
  vi.advanceTimersByTime(3_500);
  expect(beat).toHaveBeenCalledTimes(3);
  pulse.stop();
  vi.advanceTimersByTime(10_000);
  expect(beat).toHaveBeenCalledTimes(3);
});

test("goes on after a beat that failed", async () => {
  const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
  const beat = vi.fn(() => Promise.reject(new Error("the database is away")));
  const pulse = new AnswerPulse(1_000, beat);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(beat).toHaveBeenCalledTimes(2);
  expect(warn).toHaveBeenCalledTimes(2);
  pulse.stop();
});
