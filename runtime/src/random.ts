/**
 * Seeded randomness for queries, mutations and module evaluation.
 *
 * The generator is xoshiro128** 1.1 (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018):
 * small, fast, and good enough for results that must only be reproducible. It is not a source of secrets.
 */
export class SeededRandom {
  readonly #state: Uint32Array<ArrayBuffer>;

  /** `seed` holds 32 bytes; both halves are folded into the 128-bit state. */
  constructor(seed: Uint8Array) {
    const words = new Uint32Array(4);
    for (let index = 0; index < seed.length; index += 1) {
      const word = (index >> 2) & 3;
      const rotated = Math.imul(words[word] ?? 0, 0x01000193) ^ (seed[index] ?? 0);
      words[word] = rotated >>> 0;
    }
    // An all-zero state would produce zeros for ever.
    if (words.every((word) => word === 0)) {
      words[0] = 0x9e3779b9;
    }
    this.#state = words;
    // Seeds that differ in few bits give similar first outputs; let the state mix before the first use.
    for (let round = 0; round < 16; round += 1) {
      this.nextUint32();
    }
  }

  nextUint32(): number {
    const s = this.#state;
    const s0 = s[0] ?? 0;
    const s1 = s[1] ?? 0;
    const s2 = s[2] ?? 0;
    const s3 = s[3] ?? 0;
    const product = Math.imul(s1, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    s[1] = s1 ^ t2;
    s[0] = s0 ^ t3;
    s[2] = t2 ^ (s1 << 9);
    s[3] = (t3 << 11) | (t3 >>> 21);
    return result;
  }

  /** A double in [0, 1) with 53 random bits. */
  nextDouble(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 0x4000000 + low) / 0x20000000000000;
  }

  fill(bytes: Uint8Array): void {
    let word = 0;
    for (let index = 0; index < bytes.length; index += 1) {
      if ((index & 3) === 0) {
        word = this.nextUint32();
      }
      bytes[index] = word & 0xff;
      word >>>= 8;
    }
  }

  /** A version 4 UUID. */
  uuid(): string {
    const bytes = new Uint8Array(16);
    this.fill(bytes);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    const hex = Buffer.from(bytes.buffer).toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}
