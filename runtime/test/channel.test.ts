import { PassThrough } from "node:stream";

import { describe, expect, it } from "vitest";

import { FrameWriter, readFrames } from "../src/channel.ts";

describe("the channel", () => {
  it("finds frames however their bytes are cut", async () => {
    const bytes = new PassThrough();
    const writer = new FrameWriter(bytes);
    const large = "x".repeat(200_000);
    writer.message({ n: 1 });
    writer.body(7, new Uint8Array([1, 2, 3]));
    writer.message({ large });
    writer.message({ n: 2 });
    const all = bytes.read() as Buffer;
    for (const size of [1, 2, 5, 7, 64 * 1024, all.length]) {
      const input = new PassThrough();
      const seen: unknown[] = [];
      const closed = new Promise<void>((resolve) => {
        readFrames(input, {
          message: (message) => seen.push(message),
          body: (stream, piece) => seen.push([stream, [...piece]]),
          closed: resolve,
        });
      });
      for (let offset = 0; offset < all.length; offset += size) {
        input.write(all.subarray(offset, offset + size));
      }
      input.end();
      await closed;
      expect(seen).toEqual([{ n: 1 }, [7, [1, 2, 3]], { large }, { n: 2 }]);
    }
  });
});
