/** A server that stands in for S3: `moto_server` of PyPI, which `cargo xtask test` installs. */

import { type ChildProcess, spawn } from "node:child_process";

import { eventually, freePort } from "./server.ts";

export class Moto {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  static async start(program: string): Promise<Moto> {
    const port = await freePort();
    const child = spawn(program, ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    const moto = new Moto(child, `http://127.0.0.1:${port}`);
    await eventually("the stand-in for S3 to answer", async () => ((await fetch(moto.url).catch(() => undefined))?.ok ? true : undefined), 30_000);
    return moto;
  }

  /** Variables that lead a server here. */
  get env(): Record<string, string> {
    return { AWS_ENDPOINT_URL: this.url, AWS_ACCESS_KEY_ID: "test", AWS_SECRET_ACCESS_KEY: "test", AWS_REGION: "us-east-1" };
  }

  async makeBucket(name: string): Promise<void> {
    const response = await fetch(`${this.url}/${name}`, { method: "PUT" });
    if (!response.ok) {
      throw new Error(await response.text());
    }
  }

  /** Names of all objects of a bucket. */
  async objects(bucket: string): Promise<string[]> {
    const listing = await (await fetch(`${this.url}/${bucket}?list-type=2`)).text();
    return [...listing.matchAll(/<Key>(.*?)<\/Key>/g)].map((match) => match[1] ?? "");
  }

  /** Uploads in parts that were begun and neither finished nor aborted. */
  async unfinished(bucket: string): Promise<number> {
    const listing = await (await fetch(`${this.url}/${bucket}?uploads`)).text();
    return [...listing.matchAll(/<UploadId>/g)].length;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolveEnd) => this.#process.once("exit", resolveEnd));
    this.#process.kill("SIGKILL");
    await ended;
  }
}
