/**
 * Files that one invocation stores and reads. Their bytes cross the channel as bodies, so that a large file is never one
 * message. A few at a time; the others wait.
 */

import type { IncomingBodies, OutgoingBodies } from "./bodies.ts";

/** Arguments of `storage/storeBlob`. */
export interface StoreArgs {
  blob: unknown;
  options?: { sha256?: unknown } | undefined;
}

/** Arguments of `storage/getBlob`. */
export interface LoadArgs {
  storageId: unknown;
}

/** What is told to the engine, apart from whose call it is. */
export type FileMessage =
  | { type: "store"; stream: number; contentType: string; sha256?: string; size: number }
  | { type: "load"; stream: number; storageId: string };

interface Channel {
  /** Sends a message; resolves with the text of the reply. */
  ask(message: FileMessage): Promise<string>;
  incoming: IncomingBodies;
  outgoing: OutgoingBodies;
}

/** Half of what the engine allows, which may not have heard yet that one is over. */
const TRANSFERS_MAX = 8;
/** Numbers below are the engine's. */
const FIRST_STREAM = 2 ** 31;
const STREAMS = 2 ** 30;

let nextStream = 0;

function newStream(): number {
  nextStream = (nextStream + 1) % STREAMS;
  return FIRST_STREAM + nextStream;
}

export class InvocationFiles {
  readonly #channel: Channel;
  readonly #open = new Set<number>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** Stores a blob; resolves with the file's id. */
  async store({ blob, options }: StoreArgs): Promise<string> {
    if (!(blob instanceof Blob)) {
      throw new Error(
        "store() expects a Blob. If you are trying to store a Request, `await request.blob()` will give you the correct input.",
      );
    }
    const sha256 = options?.sha256 ?? undefined;
    if (sha256 !== undefined && typeof sha256 !== "string") {
      throw new Error("The option `sha256` of store() is the base64 text of a digest.");
    }
    return await this.#transfer(async (stream) => {
      const { outgoing } = this.#channel;
      const reply = this.#channel.ask({
        type: "store",
        stream,
        contentType: blob.type,
        ...(sha256 === undefined ? {} : { sha256 }),
        size: blob.size,
      });
      // What becomes of the body is the reply's to say.
      void outgoing.send(stream, blob.stream() as ReadableStream<Uint8Array>);
      try {
        return JSON.parse(await reply) as string;
      } finally {
        outgoing.cancel(stream);
      }
    });
  }

  /** Reads a file into memory; null if there is none of this name. */
  async load({ storageId }: LoadArgs): Promise<Blob | null> {
    return await this.#transfer(async (stream) => {
      const reply = this.#channel.ask({ type: "load", stream, storageId: String(storageId) });
      // After the message, because opening a body asks for its first piece.
      const body = this.#channel.incoming.open(stream);
      const head = JSON.parse(await reply) as { contentType: string; size: number } | null;
      if (head === null) {
        return null;
      }
      const pieces: Uint8Array<ArrayBuffer>[] = [];
      for await (const piece of body) {
        pieces.push(piece as Uint8Array<ArrayBuffer>);
      }
      return new Blob(pieces, { type: head.contentType });
    });
  }

  /** The invocation is over: what is still on its way is dropped. */
  close(): void {
    for (const stream of this.#open) {
      this.#channel.outgoing.cancel(stream);
      this.#channel.incoming.end(stream, "the action has ended");
    }
    this.#open.clear();
    this.#waiting.length = 0;
  }

  async #transfer<T>(work: (stream: number) => Promise<T>): Promise<T> {
    if (this.#running >= TRANSFERS_MAX) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running += 1;
    const stream = newStream();
    this.#open.add(stream);
    try {
      return await work(stream);
    } finally {
      this.#running -= 1;
      this.#open.delete(stream);
      this.#channel.incoming.end(stream, "nobody reads it");
      this.#waiting.shift()?.();
    }
  }
}
