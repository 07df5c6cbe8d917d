/**
 * The byte channel between the engine and an action host: frames of a four-byte little-endian length, one byte of kind
 * and a payload. Kind 0 is a JSON message; kind 1 is a piece of a body, preceded by its four-byte stream number.
 */

import type { Readable } from "node:stream";

export const KIND_MESSAGE = 0;
export const KIND_BODY = 1;
const HEADER_BYTES = 5;
/** Larger frames are a sign of a corrupted channel. */
const FRAME_BYTES_MAX = 256 * 1024 * 1024;

export interface ChannelHandler {
  message(message: Record<string, unknown>): void;
  body(stream: number, bytes: Uint8Array): void;
  closed(): void;
}

/** Reads frames until the other side closes. */
export function readFrames(input: Readable, handler: ChannelHandler): void {
  // Joined only when a frame is complete: joining with every chunk would copy a large frame hundreds of times.
  let chunks: Buffer[] = [];
  let available = 0;
  let needed = HEADER_BYTES;
  input.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    available += chunk.length;
    if (available < needed) {
      return;
    }
    const pending = chunks.length === 1 ? chunk : Buffer.concat(chunks);
    let offset = 0;
    needed = HEADER_BYTES;
    while (pending.length - offset >= HEADER_BYTES) {
      const length = pending.readUInt32LE(offset);
      if (length > FRAME_BYTES_MAX) {
        handler.closed();
        return;
      }
      const end = offset + HEADER_BYTES + length;
      if (pending.length < end) {
        needed = HEADER_BYTES + length;
        break;
      }
      const payload = pending.subarray(offset + HEADER_BYTES, end);
      if (pending[offset + 4] === KIND_MESSAGE) {
        handler.message(JSON.parse(payload.toString("utf8")) as Record<string, unknown>);
      } else {
        // Copied, because user code may keep the bytes long after the read buffer is gone.
        handler.body(payload.readUInt32LE(0), new Uint8Array(payload.subarray(4)));
      }
      offset = end;
    }
    chunks = [pending.subarray(offset)];
    available = pending.length - offset;
  });
  input.on("end", () => {
    handler.closed();
  });
  input.on("error", () => {
    handler.closed();
  });
}

/** Writes frames to a stream, in order. */
export class FrameWriter {
  readonly #output: NodeJS.WritableStream;

  constructor(output: NodeJS.WritableStream) {
    this.#output = output;
  }

  message(message: object): void {
    this.#write(KIND_MESSAGE, [Buffer.from(JSON.stringify(message), "utf8")]);
  }

  body(stream: number, bytes: Uint8Array): void {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(stream);
    this.#write(KIND_BODY, [prefix, bytes]);
  }

  #write(kind: number, parts: Uint8Array[]): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(
      parts.reduce((total, part) => total + part.length, 0),
      0,
    );
    header[4] = kind;
    this.#output.write(Buffer.concat([header, ...parts]));
  }
}
