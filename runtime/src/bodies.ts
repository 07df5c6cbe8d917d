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

/** How far one outgoing body may run ahead, and whether anybody still wants it. */
class Credit {
  #available = WINDOW;
  #unwanted = false;
  #wake: (() => void) | undefined;

  /** Takes one credit, waiting for it if need be. False when the body is no longer wanted. */
  async take(): Promise<boolean> {
    while (this.#available === 0 && !this.#unwanted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    this.#available -= 1;
    return !this.#unwanted;
  }

  grant(): void {
    this.#available += 1;
    this.#wake?.();
  }

  giveUp(): void {
    this.#unwanted = true;
    this.#wake?.();
  }
}

/** Bodies that go to the engine. */
export class OutgoingBodies {
  readonly #writer: FrameWriter;
  readonly #credits = new Map<number, Credit>();

  constructor(writer: FrameWriter) {
    this.#writer = writer;
  }

  /**
   * Sends a body to its end. When the client leaves, the rest is read all the same and thrown away: an action that is
   * in the middle of its work ends when its stream does, not when its reader is gone. It learns of that from
   * `request.signal`.
   */
  async send(stream: number, body: ReadableStream<Uint8Array> | null): Promise<void> {
    const credit = new Credit();
    this.#credits.set(stream, credit);
    try {
      const reader = body?.getReader();
      for (let piece = await reader?.read(); piece !== undefined && !piece.done; piece = await reader?.read()) {
        await this.#sendPiece(stream, credit, piece.value);
      }
      this.#writer.message({ type: "bodyEnd", stream });
    } catch (thrown) {
      this.#writer.message({ type: "bodyEnd", stream, error: describeThrown(thrown) });
    } finally {
      this.#credits.delete(stream);
    }
  }

  /** The client has taken a piece. */
  credit(stream: number): void {
    this.#credits.get(stream)?.grant();
  }

  /** The client has left. */
  cancel(stream: number): void {
    this.#credits.get(stream)?.giveUp();
  }

  async #sendPiece(stream: number, credit: Credit, bytes: Uint8Array): Promise<void> {
    for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES_MAX) {
      if (!(await credit.take())) {
        return;
      }
      this.#writer.body(stream, bytes.subarray(offset, offset + PIECE_BYTES_MAX));
    }
  }
}
