/**
 * Request and response bodies that cross the channel, with credit-based flow control: a sender may be `WINDOW` pieces
 * ahead of what the receiver has taken, so that a slow reader costs bounded memory.
 */

import type { FrameWriter } from "./channel.ts";
import { describeThrown } from "./outcome.ts";

const WINDOW = 16;
/** Pieces are cut to this size, so that credits mean something. */
const PIECE_BYTES_MAX = 64 * 1024;

/** Bodies that come from the engine. */
export class IncomingBodies {
  readonly #controllers = new Map<number, ReadableStreamDefaultController<Uint8Array>>();
  readonly #writer: FrameWriter;

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /** The stream with number `stream`; reading it gives the engine leave to send more. */
  open(stream: number): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controllers.set(stream, controller);
        },
        pull: () => {
          this.#writer.message({ type: "bodyCredit", stream });
        },
        cancel: () => {
          this.#controllers.delete(stream);
        },
      },
      { highWaterMark: 1 },
    );
  }

  push(stream: number, bytes: Uint8Array): void {
    this.#controllers.get(stream)?.enqueue(bytes);
  }

  end(stream: number, error: string | undefined): void {
    const controller = this.#controllers.get(stream);
    this.#controllers.delete(stream);
    if (error === undefined) {
      controller?.close();
    } else {
      controller?.error(new Error(error));
    }
  }
}

/** Bodies that go to the engine. */
export class OutgoingBodies {
  readonly #writer: FrameWriter;
  readonly #credits = new Map<number, { available: number; wake: (() => void) | undefined; cancelled: boolean }>();

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /** Sends a body to its end. Resolves when all of it is handed over, was cut short by an error, or is unwanted. */
  async send(stream: number, body: ReadableStream<Uint8Array> | null): Promise<void> {
    const credit = { available: WINDOW, wake: undefined as (() => void) | undefined, cancelled: false };
    this.#credits.set(stream, credit);
    const reader = body?.getReader();
    try {
      for (;;) {
        const piece = await reader?.read();
        if (piece === undefined || piece.done) {
          break;
        }
        if (credit.cancelled) {
          return;
        }
        for (let offset = 0; offset < piece.value.length; offset += PIECE_BYTES_MAX) {
          while (credit.available === 0 && !this.#isCancelled(stream)) {
            await new Promise<void>((resolve) => {
              credit.wake = resolve;
            });
          }
          credit.available -= 1;
          this.#writer.body(stream, piece.value.subarray(offset, offset + PIECE_BYTES_MAX));
        }
      }
      this.#writer.message({ type: "bodyEnd", stream });
    } catch (thrown) {
      this.#writer.message({ type: "bodyEnd", stream, error: describeThrown(thrown) });
    } finally {
      this.#credits.delete(stream);
      if (credit.cancelled) {
        await reader?.cancel().catch(() => undefined);
      }
    }
  }

  #isCancelled(stream: number): boolean {
    return this.#credits.get(stream)?.cancelled ?? true;
  }

  credit(stream: number): void {
    const credit = this.#credits.get(stream);
    if (credit !== undefined) {
      credit.available += 1;
      credit.wake?.();
    }
  }

  /** The client left: what is still to come is not wanted. */
  cancel(stream: number): void {
    const credit = this.#credits.get(stream);
    if (credit !== undefined) {
      credit.cancelled = true;
      credit.wake?.();
    }
  }
}
