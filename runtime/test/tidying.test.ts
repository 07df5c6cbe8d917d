import { describe, expect, it } from "vitest";

import { Tidying } from "../src/tidying.ts";

describe("a lane", () => {
  it("tidies up ten seconds after its last call, once", () => {
    const tidying = new Tidying();
    expect(tidying.waitMs(0)).toBe(Infinity);
    tidying.callEnded(1_000.5);
    tidying.callEnded(2_000.5);
    expect(tidying.waitMs(2_000)).toBe(10_001);
    expect(tidying.waitMs(12_001)).toBe(0);
    tidying.done();
    expect(tidying.waitMs(12_001)).toBe(Infinity);
  });

  it("tidies up some time after new code came, however busy it is", () => {
    const tidying = new Tidying();
    tidying.codeChanged(0);
    tidying.callEnded(19_999);
    expect(tidying.waitMs(19_999)).toBe(1);
    expect(tidying.waitMs(20_000)).toBe(0);
    tidying.done();
    expect(tidying.waitMs(40_000)).toBe(Infinity);
  });

  it("waits while another one is at it, and for nothing else", () => {
    const tidying = new Tidying();
    tidying.callEnded(0);
    tidying.postpone(10_000);
    expect(tidying.waitMs(10_000)).toBe(250);
    tidying.callEnded(10_100);
    expect(tidying.waitMs(10_200)).toBe(50);
    expect(tidying.waitMs(10_250)).toBe(0);
  });
});
