/** Functions that want all the memory there is. */

import { queryGeneric as query } from "convex/server";

export const arrays = query({
  args: {},
  handler: (): number => {
    const rows: number[][] = [];
    for (;;) {
      rows.push(new Array<number>(100_000).fill(rows.length));
    }
  },
});

/** V8 ends the process when it cannot double the table of one map. */
export const oneMap = query({
  args: {},
  handler: (): number => {
    const map = new Map<number, number>();
    for (let n = 0; ; n += 1) {
      map.set(n, n);
    }
  },
});

export const objectKeys = query({
  args: {},
  handler: (): number => {
    const object: Record<string, number> = {};
    for (let n = 0; ; n += 1) {
      object[`key ${n}`] = n;
    }
  },
});

export const arrayBuffers = query({
  args: {},
  handler: (): number => {
    const buffers: Uint8Array[] = [];
    for (;;) {
      buffers.push(new Uint8Array(1 << 20).fill(1));
    }
  },
});

/** One native operation that cannot be interrupted. */
export const oneArrayBuffer = query({
  args: {},
  handler: (): number => new Uint8Array(4 * 1024 ** 3).fill(1).length,
});

/** Catches what it can and tries again. */
export const stubbornArrayBuffers = query({
  args: {},
  handler: (): number => {
    const buffers: Uint8Array[] = [];
    for (let bytes = 1 << 24; ; ) {
      try {
        buffers.push(new Uint8Array(bytes).fill(1));
      } catch {
        bytes = Math.max(1024, bytes / 2);
      }
    }
  },
});

export const blobs = query({
  args: {},
  handler: (): number => {
    const blobs: Blob[] = [];
    for (;;) {
      blobs.push(new Blob([new Uint8Array(1 << 20).fill(1)]));
    }
  },
});

export const giantString = query({
  args: {},
  handler: (): number => {
    const strings: string[] = [];
    for (let n = 0; ; n += 1) {
      // Flat, so that it is as large as it is long.
      strings.push(`${n}`.padEnd(1 << 26, "abcdefgh").toUpperCase());
    }
  },
});

export const hugeArrays = query({
  args: {},
  handler: (): number => {
    const arrays: number[][] = [];
    for (;;) {
      arrays.push(new Array<number>(30_000_000).fill(1.5));
    }
  },
});

export const fromLength = query({
  args: {},
  handler: (): number => Array.from({ length: 100_000_000 }, (_, n) => ({ n })).length,
});

export const webAssembly = query({
  args: {},
  handler: (): number => {
    const memories: WebAssembly.Memory[] = [];
    for (;;) {
      const memory = new WebAssembly.Memory({ initial: 1024 });
      new Uint8Array(memory.buffer).fill(1);
      memories.push(memory);
    }
  },
});
