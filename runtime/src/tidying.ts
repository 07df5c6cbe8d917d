/**
 * When a lane gives back the memory that ended calls have left: once it has had nothing to do for a while, and, even if
 * calls keep coming, some time after new code came, at the next moment at which none waits. V8 by itself collects when
 * memory is needed, not when time is to spare, and keeps as large a heap as calls ever made it.
 *
 * This file only knows times; the lane does it.
 */

/** How long a lane has had nothing to do. */
const IDLE_MS = 10_000;
/** How long ago new code came: calls of the code before have ended. */
const NEW_CODE_MS = 20_000;
/** When to try again while another lane is at it. */
const RETRY_MS = 250;

export class Tidying {
  #idleDue = Infinity;
  #codeDue = Infinity;

  /** A call has ended. */
  callEnded(nowMs: number): void {
    this.#idleDue = nowMs + IDLE_MS;
  }

  codeChanged(nowMs: number): void {
    this.#codeDue = nowMs + NEW_CODE_MS;
  }

  /** How long until it is time, unless something happens; 0 when it is. */
  waitMs(nowMs: number): number {
    return Math.max(0, Math.ceil(Math.min(this.#idleDue, this.#codeDue) - nowMs));
  }

  done(): void {
    this.#idleDue = Infinity;
    this.#codeDue = Infinity;
  }

  postpone(nowMs: number): void {
    this.done();
    this.#codeDue = nowMs + RETRY_MS;
  }
}
