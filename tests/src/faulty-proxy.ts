/** A loopback proxy with a bad network behind it: connections are cut, stalled, slowed down and overtaken. */

import { type AddressInfo, type Server, type Socket, connect, createServer } from "node:net";

import { Randomness } from "./randomness.ts";
import { sleep } from "./server.ts";

/** How long a connection may be held up. */
const STALL_MS_MAX = 150;

export type Fault = "cut" | "cut halfway" | "stall" | "trickle" | "refuse";
const FAULTS: Fault[] = ["cut", "cut halfway", "stall", "trickle", "refuse"];

export class FaultyProxy {
  readonly counts = new Map<Fault, number>();
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #random: Randomness;
  #refusing = false;

  private constructor(server: Server, random: Randomness) {
    this.#server = server;
    this.#random = random;
  }

  /** A proxy to a port of this machine. */
  static async start(target: number, random: Randomness): Promise<FaultyProxy> {
    const server = createServer();
    const proxy = new FaultyProxy(server, random);
    server.on("connection", (client) => {
      void proxy.#accept(client, target);
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async #accept(client: Socket, target: number): Promise<void> {
    client.on("error", () => client.destroy());
    // Some wait longer than others, so that a later connection may overtake an earlier one.
    await sleep(this.#random.below(20));
    if (this.#refusing) {
      client.destroy();
      return;
    }
    const link = new Link(client, connect(target, "127.0.0.1"));
    this.#links.add(link);
    link.whenClosed(() => this.#links.delete(link));
  }

  /** Does something bad to one of the connections, or to all that are to come for a while. */
  async misbehave(): Promise<void> {
    const fault = this.#random.of(FAULTS);
    this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
    const links = [...this.#links];
    if (fault === "refuse") {
      this.#refusing = true;
      links.forEach((link) => {
        link.cut();
      });
      await sleep(this.#random.below(STALL_MS_MAX));
      this.#refusing = false;
      return;
    }
    if (links.length === 0) {
      return;
    }
    const link = this.#random.of(links);
    if (fault === "cut") {
      link.cut();
    } else if (fault === "cut halfway") {
      link.cutAfter(this.#random.below(400));
    } else if (fault === "stall") {
      link.stall(this.#random.below(STALL_MS_MAX));
    } else {
      link.trickle(this.#random.below(STALL_MS_MAX));
    }
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#links.forEach((link) => {
      link.cut();
    });
    await closed;
  }
}

/** One connection, both ways. */
class Link {
  readonly #client: Socket;
  readonly #server: Socket;
  /** Bytes to the client until it is cut. */
  #left = Infinity;
  /** Bytes that are passed on at once. */
  #piece = Infinity;

  constructor(client: Socket, server: Socket) {
    this.#client = client;
    this.#server = server;
    this.#pump(server, client);
    this.#pump(client, server);
    for (const socket of [client, server]) {
      socket.on("error", () => {
        this.cut();
      });
      socket.on("close", () => {
        this.cut();
      });
    }
  }

  #pump(from: Socket, to: Socket): void {
    from.on("data", (chunk: Buffer) => {
      const passed = from === this.#server ? chunk.subarray(0, this.#left) : chunk;
      if (from === this.#server) {
        this.#left -= passed.length;
      }
      for (let at = 0; at < passed.length; at += Math.min(this.#piece, passed.length)) {
        to.write(passed.subarray(at, at + Math.min(this.#piece, passed.length)));
      }
      if (this.#left <= 0) {
        this.cut();
      }
    });
  }

  whenClosed(then: () => void): void {
    this.#client.once("close", then);
  }

  cut(): void {
    this.#client.destroy();
    this.#server.destroy();
  }

  cutAfter(bytes: number): void {
    this.#left = bytes;
  }

  stall(ms: number): void {
    for (const socket of [this.#client, this.#server]) {
      socket.pause();
    }
    setTimeout(() => {
      for (const socket of [this.#client, this.#server]) {
        socket.resume();
      }
    }, ms);
  }

  trickle(ms: number): void {
    this.#piece = 7;
    setTimeout(() => {
      this.#piece = Infinity;
    }, ms);
  }
}
