"use node";

import { actionGeneric as action } from "convex/server";
import { WebSocketServer } from "ws";

/** Where the package comes from that was not bundled, and whether it works. */
export const origin = action({
  args: {},
  handler: async (): Promise<{ url: string; port: boolean }> => {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await new Promise((listening) => server.once("listening", listening));
    const address = server.address();
    server.close();
    let url = "";
    try {
      url = import.meta.resolve("ws");
    } catch {
      // It is bundled.
    }
    return { url, port: typeof address === "object" };
  },
});
