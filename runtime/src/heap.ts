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

/** Limits of a lane's heap. What exceeds them ends its thread. */
export const LANE_HEAP_MEBIBYTES = { old: 256, young: 16 };

/**
 * A lane whose heap holds more than this after a call is replaced. Each call can count on the rest of the heap, twice
 * the memory that a call is allowed.
 */
const ROTATION_BYTES = 128 * MEBIBYTE;

/** A call that ran out of memory although no more than this was in use when it began has used it up by itself. */
const BEFORE_CALL_BYTES = 64 * MEBIBYTE;

/** Whether a lane is to be replaced of whose heap `usedBytes` are in use between two calls. */
export function isTooFull(usedBytes: number): boolean {
  return usedBytes > ROTATION_BYTES;
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

  /**
   * Why the lane's call ends if the heap is exhausted now: because of its own use, or because of what was there before
   * it. The first call of a lane has only itself to blame, so that none is begun again for ever.
   */
  exhaustion(): "outOfMemory" | "heapWasFull" {
    return (this.#bytes[0] ?? 0) > BEFORE_CALL_BYTES ? "heapWasFull" : "outOfMemory";
  }
}
