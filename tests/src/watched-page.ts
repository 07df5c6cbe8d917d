/** Watches the subscriptions of a page in a browser, through what the browser says of the frames of its WebSockets. */

import type { Page } from "playwright-core";

import type { Conversation } from "./conversation.ts";
import type { SubscriptionWatch } from "./subscription-watch.ts";

/** Listens from the page's next WebSocket on: call it before the page is opened. */
export function watchPage(page: Page, watch: SubscriptionWatch): void {
  const open = new Set<Conversation>();
  page.on("websocket", (socket) => {
    const conversation = watch.begin();
    open.add(conversation);
    const end = (): void => {
      open.delete(conversation);
      watch.end(conversation);
    };
    socket.on("framesent", ({ payload }) => {
      conversation.sent(payload.toString());
    });
    socket.on("framereceived", ({ payload }) => {
      conversation.received(payload.toString());
    });
    socket.on("close", end);
    socket.on("socketerror", end);
  });
  const endAll = (): void => {
    open.forEach((conversation) => {
      watch.end(conversation);
    });
    open.clear();
  };
  // The browser need not say that the sockets of a page are closed when another takes its place.
  page.on("request", (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) {
      endAll();
    }
  });
  page.once("close", endAll);
}

/** Waits until every page is up to date, checks what they were shown, and closes this one and what belongs to it. */
export async function leave(page: Page, watch: SubscriptionWatch): Promise<void> {
  try {
    await watch.settled();
  } finally {
    await page.context().close();
  }
}
