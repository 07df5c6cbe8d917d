/** A proxy between the CLI and a server that can hold requests back, so that tests act at a chosen moment of a push. */

import { Agent, createServer, request, type IncomingMessage, type Server } from "node:http";
import { connect } from "node:net";

import type { FreshetServer } from "./server.ts";

/** One request that went through, with its answer when there was one. */
export interface Passed {
  path: string;
  status: number;
  /** The answer's text, decoded as UTF-8. */
  body: string;
}

export class Gate {
  readonly adminKey: string;
  readonly passed: Passed[] = [];
  readonly #server: FreshetServer;
  readonly #proxy: Server;
  readonly #agent = new Agent({ keepAlive: false });
  readonly #awaited = new Map<string, () => void>();
  readonly #held = new Map<string, { arrived: () => void; open: Promise<void> }>();

  private constructor(server: FreshetServer) {
    this.#server = server;
    this.adminKey = server.adminKey;
    this.#proxy = createServer((incoming, outgoing) => {
      void this.#forward(incoming).then(
        ({ answer, body }) => {
          const headers = { ...answer.headers };
          delete headers["transfer-encoding"];
          delete headers["content-length"];
          outgoing.writeHead(answer.statusCode ?? 502, headers);
          outgoing.end(body);
        },
        // As if the server itself had gone: the client sees a broken connection.
        () => incoming.socket.destroy(),
      );
    });
    this.#proxy.on("upgrade", (incoming: IncomingMessage, socket, head) => {
      const upstream = connect(server.port, "127.0.0.1", () => {
        const headers = incoming.rawHeaders.reduce((text, part, index) => text + part + (index % 2 === 0 ? ": " : "\r\n"), "");
        upstream.write(`${incoming.method ?? "GET"} ${incoming.url ?? "/"} HTTP/1.1\r\n${headers}\r\n`);
        upstream.write(head);
        socket.pipe(upstream).pipe(socket);
      });
      upstream.on("error", () => socket.destroy());
      socket.on("error", () => upstream.destroy());
    });
  }

  static async before(server: FreshetServer): Promise<Gate> {
    const gate = new Gate(server);
    await new Promise<void>((listening) => gate.#proxy.listen(0, "127.0.0.1", listening));
    return gate;
  }

  get url(): string {
    const address = this.#proxy.address();
    return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  /** What the server has printed, for messages of failed pushes. */
  get output(): string {
    return this.#server.output;
  }

  /** Holds the next request to this path; `arrived` resolves when it came, `open` lets it through. */
  hold(path: string): { arrived: Promise<void>; open: () => void } {
    let arrived = (): void => undefined;
    let open = (): void => undefined;
    const came = new Promise<void>((resolve) => (arrived = resolve));
    const opened = new Promise<void>((resolve) => (open = resolve));
    this.#held.set(path, { arrived, open: opened });
    return { arrived: came, open };
  }

  /** Resolves when the server has answered the next request to this path, before the client gets the answer. */
  async answered(path: string): Promise<void> {
    await new Promise<void>((answered) => this.#awaited.set(path, answered));
  }

  /** The answers to a path so far, parsed. */
  answers(path: string): unknown[] {
    return this.passed.filter((passed) => passed.path === path && passed.status === 200).map((passed) => JSON.parse(passed.body) as unknown);
  }

  close(): void {
    this.#proxy.close();
    this.#proxy.closeAllConnections();
  }

  async #forward(incoming: IncomingMessage): Promise<{ answer: IncomingMessage; body: Buffer }> {
    const content = await bytes(incoming);
    const path = (incoming.url ?? "/").split("?")[0] ?? "/";
    const held = this.#held.get(path);
    if (held !== undefined) {
      this.#held.delete(path);
      held.arrived();
      await held.open;
    }
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { ...incoming.headers, host: `127.0.0.1:${this.#server.port}`, "accept-encoding": "identity" };
      request({ port: this.#server.port, host: "127.0.0.1", path: incoming.url, method: incoming.method, headers, agent: this.#agent }, resolve)
        .on("error", reject)
        .end(content);
    });
    const body = await bytes(answer);
    this.passed.push({ path, status: answer.statusCode ?? 0, body: body.toString() });
    this.#awaited.get(path)?.();
    this.#awaited.delete(path);
    return { answer, body };
  }
}

async function bytes(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
