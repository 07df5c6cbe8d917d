/** The text messages in the bytes of one direction of a WebSocket, compressed or not, for who only listens. */

import { constants, inflateRawSync } from "node:zlib";

const WINDOW_BYTES = 32_768;
/** What senders leave out at the end of a compressed message. */
const FLUSHED = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const CONTINUATION = 0x0;
const TEXT = 0x1;

export class WebSocketMessages {
  readonly #listener: (text: string) => void;
  #bytes: Buffer = Buffer.alloc(0);
  /** The end of what was inflated so far, which later messages refer to. */
  #window: Buffer = Buffer.alloc(0);
  #fragments: Buffer[] = [];
  #isText = false;
  #isCompressed = false;

  constructor(listener: (text: string) => void) {
    this.#listener = listener;
  }

  push(bytes: Buffer): void {
    this.#bytes = this.#bytes.length === 0 ? bytes : Buffer.concat([this.#bytes, bytes]);
    while (this.#frame()) {
      // One after the other.
    }
  }

  /** Takes one frame, if it is there. */
  #frame(): boolean {
    const bytes = this.#bytes;
    if (bytes.length < 2) {
      return false;
    }
    const [first = 0, second = 0] = bytes;
    const short = second & 0x7f;
    const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
    const maskAt = 2 + extended;
    const payloadAt = maskAt + ((second & 0x80) === 0 ? 0 : 4);
    if (bytes.length < payloadAt) {
      return false;
    }
    const length = extended === 2 ? bytes.readUInt16BE(2) : extended === 8 ? Number(bytes.readBigUInt64BE(2)) : short;
    if (bytes.length < payloadAt + length) {
      return false;
    }
    const payload = Buffer.from(bytes.subarray(payloadAt, payloadAt + length));
    for (let at = 0; payloadAt > maskAt && at < length; at += 1) {
      payload[at] = (payload[at] ?? 0) ^ (bytes[maskAt + (at % 4)] ?? 0);
    }
    this.#bytes = bytes.subarray(payloadAt + length);
    this.#take(first & 0x0f, (first & 0x80) !== 0, (first & 0x40) !== 0, payload);
    return true;
  }

  #take(opcode: number, isFinal: boolean, isCompressed: boolean, payload: Buffer): void {
    if (opcode > 0x2) {
      return;
    }
    if (opcode !== CONTINUATION) {
      [this.#isText, this.#isCompressed] = [opcode === TEXT, isCompressed];
    }
    this.#fragments.push(payload);
    if (isFinal) {
      const whole = Buffer.concat(this.#fragments.splice(0));
      const message = this.#isCompressed ? this.#inflate(whole) : whole;
      if (this.#isText) {
        this.#listener(message.toString());
      }
    }
  }

  #inflate(message: Buffer): Buffer {
    const dictionary = this.#window.length === 0 ? undefined : this.#window;
    const text = inflateRawSync(Buffer.concat([message, FLUSHED]), { finishFlush: constants.Z_SYNC_FLUSH, dictionary });
    this.#window = Buffer.concat([this.#window, text]).subarray(-WINDOW_BYTES);
    return text;
  }
}
