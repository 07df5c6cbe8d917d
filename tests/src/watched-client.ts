/** Clients of npm whose subscriptions are watched: closing one fails when it was shown something that never was. */

import { BaseConvexClient, ConvexClient, type ConvexClientOptions } from "convex/browser";

import type { FreshetServer } from "./server.ts";
import { SubscriptionWatch, type WatchOptions } from "./subscription-watch.ts";

interface WatchedClientOptions extends WatchOptions, Omit<ConvexClientOptions, "webSocketConstructor"> {
  /** Where to connect, when it is not the server itself. */
  url?: string;
}

export class WatchedClient extends ConvexClient {
  readonly watch: SubscriptionWatch;

  constructor(server: Pick<FreshetServer, "url">, { url = server.url, varying = [], ...options }: WatchedClientOptions = {}) {
    const watch = new SubscriptionWatch(server.url, { varying });
    super(url, { logger: false, ...options, webSocketConstructor: watch.constructorForClient });
    this.watch = watch;
  }

  /** Checks what was shown, and closes. */
  override async close(): Promise<void> {
    try {
      await this.watch.settled();
    } finally {
      await super.close();
    }
  }
}

/** The client below all others, at the level at which journals show. */
export class WatchedBaseClient extends BaseConvexClient {
  readonly watch: SubscriptionWatch;

  constructor(server: Pick<FreshetServer, "url">) {
    const watch = new SubscriptionWatch(server.url);
    super(server.url, () => undefined, { logger: false, webSocketConstructor: watch.constructorForClient });
    this.watch = watch;
  }

  /** Checks what was shown, and closes. */
  override async close(): Promise<void> {
    try {
      await this.watch.settled();
    } finally {
      await super.close();
    }
  }
}
