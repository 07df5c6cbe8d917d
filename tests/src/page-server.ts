/** Serves one page of `pages`, bundled, to a browser. */

import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";

import { build } from "esbuild";

export class PageServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Bundles `pages/<name>.ts`; `convexPackage` is the folder of another version of the client. */
  static async start(name: string, convexPackage?: string): Promise<PageServer> {
    const bundle = await build({
      entryPoints: [resolve(import.meta.dirname, `../pages/${name}.ts`)],
      bundle: true,
      format: "esm",
      write: false,
      define: { "process.env.NODE_ENV": '"production"' },
      ...(convexPackage === undefined ? {} : { alias: { convex: convexPackage } }),
    });
    const script = bundle.outputFiles[0]?.text ?? "";
    const server = createServer((request, response) => {
      const isScript = request.url === "/page.js";
      response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" });
      response.end(isScript ? script : '<!doctype html><div id="root"></div><script type="module" src="/page.js"></script>');
    });
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    return new PageServer(server);
  }

  /** The page's address, with these parameters. */
  url(parameters: Record<string, string>): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/?${new URLSearchParams(parameters).toString()}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
