import { describe, expect, it } from "vitest";

import { HeapRecord, isTooFull } from "../src/heap.ts";

const MEBIBYTE = 1024 * 1024;

/** What the main thread reads of what a lane has noted. */
function exhaustionAfter(...noted: number[]): string {
  const main = new HeapRecord();
  const lane = new HeapRecord(main.memory);
  for (const mebibytes of noted) {
    lane.note(mebibytes * MEBIBYTE);
  }
  return main.exhaustion();
}

describe("a call that runs out of memory", () => {
  it("has used it up itself when most of the heap was free", () => {
    expect(exhaustionAfter(20)).toBe("outOfMemory");
    expect(exhaustionAfter(64)).toBe("outOfMemory");
    expect(exhaustionAfter(200, 20)).toBe("outOfMemory");
  });

  it("is innocent when much of the heap was in use before it", () => {
    expect(exhaustionAfter(65)).toBe("heapWasFull");
    expect(exhaustionAfter(20, 250)).toBe("heapWasFull");
  });

  it("has used it up itself when it is the first of its lane, which ends the attempts to run it elsewhere", () => {
    expect(exhaustionAfter()).toBe("outOfMemory");
  });
});

describe("a lane", () => {
  it("is replaced before what is free is too little for a call", () => {
    expect([20, 64, 128].map((mebibytes) => isTooFull(mebibytes * MEBIBYTE))).toEqual([false, false, false]);
    expect([129, 250].map((mebibytes) => isTooFull(mebibytes * MEBIBYTE))).toEqual([true, true]);
  });
});
