/**
 * Seeded randomness for queries, mutations and module evaluation: the keystream of AES-256 in counter mode (NIST SP
 * 800-38A) under the call's seed. It is reproducible for whoever has the seed and unpredictable for everyone else, so
 * that tokens made in a mutation are as good as any.
 */

import { createCipheriv } from "node:crypto";

const BLOCK_BYTES = 512;
const ZEROS = Buffer.alloc(BLOCK_BYTES);

export class SeededRandom {
  readonly #seed: Uint8Array;
  #cipher: ReturnType<typeof createCipheriv> | undefined;
  #block: Buffer = Buffer.alloc(0);
  #offset = 0;

  /** `seed` holds 32 bytes. */
  constructor(seed: Uint8Array) {
    this.#seed = seed;
  }

  /** A double in [0, 1) with 53 random bits. */
  nextDouble(): number {
    const bytes = this.#take(8);
    const high = bytes.readUInt32LE(0) >>> 5;
    const low = bytes.readUInt32LE(4) >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  fill(bytes: Uint8Array): void {
    for (let offset = 0; offset < bytes.length; offset += BLOCK_BYTES) {
      bytes.set(this.#take(Math.min(BLOCK_BYTES, bytes.length - offset)), offset);
    }
  }

  /** A version 4 UUID. */
  uuid(): string {
    const bytes = Buffer.from(this.#take(16));
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }

  /** At most one block; what is left of the present one is skipped when it does not suffice. */
  #take(count: number): Buffer {
    if (this.#offset + count > this.#block.length) {
      // Most calls use no randomness and should not pay for a cipher.
      this.#cipher ??= createCipheriv("aes-256-ctr", this.#seed, Buffer.alloc(16));
      this.#block = this.#cipher.update(ZEROS);
      this.#offset = 0;
    }
    const taken = this.#block.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return taken;
  }
}
