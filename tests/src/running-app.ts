/** A server with an app on it for the tests of one file, which it outlives by nothing. */

import { afterAll } from "vitest";

import { TestApp } from "./app.ts";
import { Calls } from "./calls.ts";
import { FreshetServer, type ServerOptions } from "./server.ts";

export interface RunningApp {
  server: FreshetServer;
  app: TestApp;
  calls: Calls;
}

export interface RunningAppOptions extends ServerOptions {
  /** Changes the app before it is pushed. */
  prepare?: (app: TestApp, server: FreshetServer) => void | Promise<void>;
  /** False where the tests push it themselves. */
  isPushed?: boolean;
}

/**
 * Starts a server for `tests/apps/<name>` and pushes that; both are gone after the last test. To be awaited at the top of a file.
 */
export async function runApp(name: string, { prepare, isPushed = true, ...options }: RunningAppOptions = {}): Promise<RunningApp> {
  const server = await FreshetServer.start(options);
  const app = new TestApp(server, name);
  const end = async (): Promise<void> => {
    app.delete();
    await server.stop();
  };
  try {
    await prepare?.(app, server);
    if (isPushed) {
      await app.push();
    }
  } catch (error) {
    await end();
    throw error;
  }
  afterAll(end);
  return { server, app, calls: new Calls(server) };
}
