/** Sending files to a server and reading them back, with nothing but `fetch`. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

import type { Calls } from "./calls.ts";
import type { FreshetServer } from "./server.ts";

/** The same bytes as the app's `pattern`. */
export function pattern(bytes: number): Buffer<ArrayBuffer> {
  const made = Buffer.alloc(bytes);
  for (let index = 0; index < bytes; index += 1) {
    made[index] = (index * 31 + (index >> 8)) & 255;
  }
  return made;
}

export function sha256(bytes: Uint8Array, encoding: "base64" | "hex"): string {
  return createHash("sha256").update(bytes).digest(encoding);
}

/** Uploads bytes and returns the file's id. */
export async function upload(calls: Calls, body: BodyInit, headers: Record<string, string> = {}): Promise<string> {
  const url = await calls.mutation<string>("files:uploadUrl");
  const response = await fetch(url, { method: "POST", body, headers });
  const text = await response.text();
  if (response.status !== 200) {
    throw new Error(`${response.status} ${text}`);
  }
  return (JSON.parse(text) as { storageId: string }).storageId;
}

/** Names and sizes of everything in the server's folder for files. */
export function storedFiles(server: Pick<FreshetServer, "dataDir">): { name: string; bytes: number }[] {
  const root = join(server.dataDir, "storage");
  if (!existsSync(root)) {
    return [];
  }
  return readdirSync(root).flatMap((folder) =>
    readdirSync(join(root, folder)).map((file) => {
      const path = join(root, folder, file);
      return { name: `${folder}/${file}`, bytes: statSync(path, { throwIfNoEntry: false })?.size ?? 0 };
    }),
  );
}
