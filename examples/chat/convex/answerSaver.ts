/**
 * Writes the growing text of one answer, one write at a time, without holding up the tokens.
 *
 * While a write is under way only the newest text is kept: each write stores the whole text, so
 * the ones that were skipped lose nothing. A slow database makes the batches larger, not the queue.
 */
export class AnswerSaver {
  readonly #write: (text: string) => Promise<boolean>;
  #next: string | null = null;
  #running: Promise<void> | null = null;
  #refused = false;

  /** `write` resolves to whether the answer may go on. */
  constructor(write: (text: string) => Promise<boolean>) {
    this.#write = write;
  }

  /** The answer was ended by someone else: no more of it should be fetched. */
  get refused(): boolean {
    return this.#refused;
  }

  /** Stores this text soon, unless a newer one comes first. */
  save(text: string): void {
    this.#next = text;
    this.#running ??= this.#drain();
  }

  /** Forgets what is not under way, and waits for what is. Never rejects. */
  async stop(): Promise<void> {
    this.#next = null;
    await this.#running;
  }

  async #drain(): Promise<void> {
    while (this.#next !== null && !this.#refused) {
      const text = this.#next;
      this.#next = null;
      try {
        this.#refused = !(await this.#write(text));
      } catch (error) {
        // The next write carries this text too, and the last one is not made here.
        console.warn("A part of an answer was not stored", error);
      }
    }
    this.#running = null;
  }
}
