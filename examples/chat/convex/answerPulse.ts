/**
 * Shows that a stream is alive while the model says nothing. Without it, the silence of a slow model
 * looks like a stream that has died, and everyone would have to wait for the slowest model to be told
 * of a death. Knows neither the database nor the model.
 */
export class AnswerPulse {
  readonly #timer: ReturnType<typeof setInterval>;

  /** Calls `beat` every `every_ms` until stopped. A beat that fails is only logged. */
  constructor(every_ms: number, beat: () => Promise<unknown>) {
    this.#timer = setInterval(() => {
      beat().catch((error: unknown) => {
        console.warn("A sign of life of an answer was not stored", error);
      });
    }, every_ms);
  }

  /** No beat begins after this. */
  stop(): void {
    clearInterval(this.#timer);
  }
}
