/**
 * A loopback proxy that passes every byte on as it is and watches the subscriptions in the WebSockets that go through: for
 * browsers and for clients that are not written in JavaScript.
 */

import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

import type { FreshetServer } from "./server.ts";
import { SubscriptionWatch, type WatchOptions } from "./subscription-watch.ts";
import { WebSocketMessages } from "./websocket-messages.ts";

const HEAD_END = "\r\n\r\n";

interface ProxyOptions extends WatchOptions {
  /** The port to pass on to, when it is not the server itself. */
  target?: number;
}

export class WatchingProxy {
  readonly watch: SubscriptionWatch;
  readonly #listener: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: FreshetServer, { target = server.port, ...options }: ProxyOptions) {
    this.watch = new SubscriptionWatch(server.url, options);
    this.#listener = createServer((client) => {
      this.#accept(client, connect(target, "127.0.0.1"));
    });
  }

  /** A proxy to this server. */
  static async before(server: FreshetServer, options: ProxyOptions = {}): Promise<WatchingProxy> {
    const proxy = new WatchingProxy(server, options);
    await new Promise<void>((listening) => proxy.#listener.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get port(): number {
    return (this.#listener.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Checks what all clients were shown that are still connected, and what those were that have gone, and ends. */
  async stop(): Promise<void> {
    try {
      await this.watch.settled();
    } finally {
      const closed = new Promise((resolve) => this.#listener.close(resolve));
      for (const socket of this.#sockets) {
        socket.destroy();
      }
      await closed;
    }
  }

  #accept(client: Socket, server: Socket): void {
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.#sockets.delete(socket);
        // What has arrived is passed on all the same.
        client.destroySoon();
        server.destroySoon();
      });
    }
    this.#listen(client, server);
    client.pipe(server);
    server.pipe(client);
  }

  /** Watches the connection if it becomes a WebSocket. */
  #listen(client: Socket, server: Socket): void {
    const conversation = this.watch.begin();
    const end = (): void => {
      this.watch.end(conversation);
    };
    client.once("close", end);
    const isSocket = (head: string): boolean => /^GET .*^upgrade: websocket/ims.test(head);
    afterHead(client, (head) => {
      if (!isSocket(head)) {
        end();
        return undefined;
      }
      return new WebSocketMessages((text) => {
        conversation.sent(text);
      });
    });
    afterHead(server, (head) => {
      if (!/^HTTP\/1.1 101 /.test(head)) {
        end();
        return undefined;
      }
      return new WebSocketMessages((text) => {
        conversation.received(text);
      });
    });
  }
}

/** Gives what follows the head of a connection's first request or response to who wants it. */
function afterHead(socket: Socket, choose: (head: string) => WebSocketMessages | undefined): void {
  let head = Buffer.alloc(0);
  const collect = (bytes: Buffer): void => {
    head = Buffer.concat([head, bytes]);
    const end = head.indexOf(HEAD_END);
    if (end < 0) {
      return;
    }
    socket.off("data", collect);
    const messages = choose(head.subarray(0, end).toString("latin1"));
    if (messages !== undefined) {
      messages.push(head.subarray(end + HEAD_END.length));
      socket.on("data", (more: Buffer) => {
        messages.push(more);
      });
    }
  };
  socket.on("data", collect);
}
