/**
 * How much heap a lane has, when it is to be replaced because too much of that is in use, and whose fault it is when
 * it runs out.
 *
 * V8 decides by itself when it collects garbage. On a busy machine that is late, and something that holds on to the
 * contexts of ended calls (V8's compilation cache did) can keep it from finding any. Neither is a reason for a call to
 * fail: a lane that is too full is replaced between two calls, when the caller has its answer.
 *
 * This file never measures: the lane does, and the main thread asks what was measured when the lane is gone.
 */

const MEBIBYTE = 1024 * 1024;

/** Bounds that follow from how much heap a lane may have. */
export class HeapBounds {
  readonly #bytes: number;

  constructor(mebibytes: number) {
    this.#bytes = mebibytes * MEBIBYTE;
  }

  /** What V8 is told, in mebibytes. What exceeds it ends the lane's thread. */
  get limits(): { old: number; young: number } {
    return { old: this.#bytes / MEBIBYTE, young: 16 };
  }

  /**
   * Whether a lane is to be replaced of whose heap `usedBytes` are in use between two calls. Each call can count on
   * the other half.
   */
  isTooFull(usedBytes: number): boolean {
    return usedBytes > this.#bytes / 2;
  }

  /** Whether a call that runs out of memory is innocent of it, because so much was in use when it began. */
  wasFull(usedBytes: number): boolean {
    return usedBytes > this.#bytes / 4;
  }
}

/**
 * What was in use before the call that a lane runs. The lane writes it down and the main thread reads it, when the
 * lane's own thread can tell no more.
 */
export class HeapRecord {
  /** To be handed to the lane's thread. */
  readonly memory: SharedArrayBuffer;
  readonly #bytes: Float64Array;

  constructor(memory: SharedArrayBuffer = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT)) {
    this.memory = memory;
    this.#bytes = new Float64Array(memory);
  }

  /** Notes what is in use between two calls. */
  note(usedBytes: number): void {
    this.#bytes[0] = usedBytes;
  }

  /** What was noted last. 0 for the first call of a lane: it has only itself to blame, so that none is begun again for ever. */
  get usedBytes(): number {
    return this.#bytes[0] ?? 0;
  }
}
