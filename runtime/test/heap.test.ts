import { describe, expect, it } from "vitest";

import { HeapBounds, HeapRecord } from "../src/heap.ts";

const MEBIBYTE = 1024 * 1024;
const bounds = new HeapBounds(256);

/** Whether a call that runs out of memory is innocent, after what the lane has noted. */
function isInnocentAfter(...noted: number[]): boolean {
  const main = new HeapRecord();
  const lane = new HeapRecord(main.memory);
  for (const mebibytes of noted) {
    lane.note(mebibytes * MEBIBYTE);
  }
  return bounds.wasFull(main.usedBytes);
}

describe("a call that runs out of memory", () => {
  it("has used it up itself when most of the heap was free", () => {
    expect([isInnocentAfter(20), isInnocentAfter(64), isInnocentAfter(200, 20)]).toEqual([false, false, false]);
  });

  it("is innocent when much of the heap was in use before it", () => {
    expect([isInnocentAfter(65), isInnocentAfter(20, 250)]).toEqual([true, true]);
  });

  it("has used it up itself when it is the first of its lane, which ends the attempts to run it elsewhere", () => {
    expect(isInnocentAfter()).toBe(false);
  });
});

describe("a lane", () => {
  it("is replaced before what is free is too little for a call", () => {
    expect([20, 64, 128].map((mebibytes) => bounds.isTooFull(mebibytes * MEBIBYTE))).toEqual([false, false, false]);
    expect([129, 250].map((mebibytes) => bounds.isTooFull(mebibytes * MEBIBYTE))).toEqual([true, true]);
  });

  it("has the heap that the operator has chosen", () => {
    expect(new HeapBounds(100).limits).toEqual({ old: 100, young: 16 });
    expect(new HeapBounds(100).isTooFull(51 * MEBIBYTE)).toBe(true);
  });
});
