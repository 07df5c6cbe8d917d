import { describe, expect, it } from "vitest";

import { SeededRandom } from "../src/random.ts";

const seed = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);

describe("seeded randomness", () => {
  it("repeats for the same seed and differs for another", () => {
    const draw = (byte: number): number[] => {
      const random = new SeededRandom(seed(byte));
      return Array.from({ length: 100 }, () => random.nextDouble());
    };
    expect(draw(1)).toEqual(draw(1));
    expect(draw(1)).not.toEqual(draw(2));
  });

  it("is spread evenly over [0, 1)", () => {
    const random = new SeededRandom(seed(3));
    const buckets = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 10_000; draw += 1) {
      const bucket = Math.floor(random.nextDouble() * 10);
      buckets[bucket] = (buckets[bucket] ?? 0) + 1;
    }
    // Six standard deviations around the mean of 1000.
    expect(Math.min(...buckets)).toBeGreaterThan(820);
    expect(Math.max(...buckets)).toBeLessThan(1180);
  });

  it("fills buffers of any length", () => {
    const bytes = new Uint8Array(5000);
    new SeededRandom(seed(4)).fill(bytes);
    expect(new Set(bytes).size).toBeGreaterThan(250);
    expect(bytes.slice(-16).some((byte) => byte !== 0)).toBe(true);
  });

  it("makes well-formed UUIDs", () => {
    const random = new SeededRandom(seed(5));
    const uuids = Array.from({ length: 100 }, () => random.uuid());
    expect(new Set(uuids).size).toBe(100);
    for (const uuid of uuids) {
      expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });
});
