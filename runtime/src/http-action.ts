/** Turns the engine's description of a request into a `Request`, and a handler's `Response` into a description. */

import type { OutgoingBodies } from "./bodies.ts";

/** What `requestFromConvexJson` receives: the text that was given to the router, parsed. */
export interface RequestJson {
  method: string;
  url: string;
  headerPairs: [string, string][];
}

export interface ResponseHead {
  status: number;
  headers: [string, string][];
}

/** Streams of one HTTP action that the router's JSON only refers to. */
export class HttpExchange {
  readonly abort = new AbortController();
  response: Response | undefined;
  readonly #body: ReadableStream<Uint8Array> | null;

  constructor(body: ReadableStream<Uint8Array> | null) {
    this.#body = body;
  }

  request(json: RequestJson): Request {
    const headers = new Headers();
    for (const [name, value] of json.headerPairs) {
      headers.append(name, value);
    }
    const init: RequestInit & { duplex?: "half" } = { method: json.method, headers, signal: this.abort.signal };
    if (this.#body !== null) {
      init.body = this.#body;
      init.duplex = "half";
    }
    return new Request(json.url, init);
  }

  /** Keeps the response for streaming and returns what travels as JSON. */
  take(response: unknown): object {
    if (!(response instanceof Response)) {
      throw new Error("HTTP actions must return a Response");
    }
    this.response = response;
    return { status: response.status };
  }

  head(): ResponseHead {
    const response = this.response;
    if (response === undefined) {
      throw new Error("HTTP actions must return a Response");
    }
    return { status: response.status, headers: [...response.headers] };
  }

  async sendBody(stream: number, bodies: OutgoingBodies): Promise<void> {
    await bodies.send(stream, this.response?.body ?? null);
  }
}
