/** nginx, serving a folder and taking files by PUT: what others use for files. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { eventually, freePort } from "../../tests/src/server.ts";

const UNPACKED = resolve(import.meta.dirname, "../../target/bench/nginx");

/** Finds nginx, or unpacks the Debian package into `target`; undefined, with a reason printed, where there is neither. */
export function findNginx(): string | undefined {
  const own = join(UNPACKED, "usr/sbin/nginx");
  const found = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", own].find((path) => existsSync(path));
  if (found !== undefined) {
    return found;
  }
  mkdirSync(UNPACKED, { recursive: true });
  const fetched = spawnSync("apt-get", ["download", "nginx"], { cwd: UNPACKED, encoding: "utf8" });
  const archive = fetched.status === 0 ? readdirSync(UNPACKED).find((name) => name.endsWith(".deb")) : undefined;
  if (archive !== undefined && spawnSync("dpkg-deb", ["-x", archive, "."], { cwd: UNPACKED }).status === 0 && spawnSync(own, ["-v"]).status === 0) {
    return own;
  }
  console.error("nginx is not installed and the Debian package could not be fetched: there is nothing to compare with. Install nginx (apt-get install nginx).");
  return undefined;
}

export class Nginx {
  readonly url: string;
  readonly #process: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#process = child;
    this.url = url;
  }

  /** Serves `folder`, which must exist. */
  static async start(program: string, folder: string): Promise<Nginx> {
    const port = await freePort();
    const files = join(folder, "files");
    mkdirSync(files, { recursive: true });
    writeFileSync(
      join(folder, "nginx.conf"),
      `daemon off; worker_processes auto; pid ${folder}/pid; error_log stderr error; ${process.getuid?.() === 0 ? "user root;" : ""}
events { worker_connections 1024; }
http {
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000;
  client_max_body_size 0; client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/t1; fastcgi_temp_path ${folder}/t2; uwsgi_temp_path ${folder}/t3; scgi_temp_path ${folder}/t4;
  server { listen 127.0.0.1:${port}; root ${files}; location / { dav_methods PUT; } }
}
`,
    );
    const child = spawn(program, ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: ["ignore", "ignore", "inherit"] });
    const nginx = new Nginx(child, `http://127.0.0.1:${port}`);
    await eventually("nginx to answer", async () => ((await fetch(nginx.url).catch(() => undefined)) === undefined ? undefined : true));
    return nginx;
  }

  /** Process id of the master. */
  get pid(): number {
    return this.#process.pid ?? -1;
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolveEnd) => this.#process.once("exit", resolveEnd));
    this.#process.kill("SIGTERM");
    await ended;
  }
}
