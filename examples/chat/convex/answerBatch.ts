/**
 * Decides when the text of an answer is worth a write to the database. Pure.
 *
 * The author sees every token through the HTTP response. Everyone else reads the database, and a
 * write for each token would be a commit and a new query result for every viewer, forty times a
 * sentence. So the text is written where a reader would pause.
 */

/** A write is due at the first of these after the last write. */
const DELIMITER = /[\n.?!,]/;

/** Text without a delimiter is written anyway when more than this has gathered. */
export const UNWRITTEN_CHARS_MAX = 100;

/** Gathers tokens, and says after each one whether to write. */
export class AnswerBatch {
  readonly #charsMax: number;
  #text = "";
  #written = 0;

  /** `charsMax` bounds the whole answer: text past it is dropped. */
  constructor(charsMax: number) {
    this.#charsMax = charsMax;
  }

  /** The whole text so far. */
  get text(): string {
    return this.#text;
  }

  /** No more text is taken. */
  get full(): boolean {
    return this.#text.length >= this.#charsMax;
  }

  /** Adds a token. Returns the part of it that was taken, and whether a write is due now. */
  push(token: string): { taken: string; due: boolean } {
    const taken = token.slice(0, this.#charsMax - this.#text.length);
    this.#text += taken;
    const due = DELIMITER.test(taken) || this.#text.length - this.#written > UNWRITTEN_CHARS_MAX;
    if (due) this.#written = this.#text.length;
    return { taken, due };
  }
}
