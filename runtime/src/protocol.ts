/** Messages between the engine and an action host. The Rust side of the same shapes is `action_host/protocol.rs`. */

import type { JsError } from "./outcome.ts";

export interface PackageModule {
  path: string;
  source: string;
  /** JSON text, when the bundler made one. */
  sourceMap: string | null;
  environment: "isolate" | "node";
}

export interface ActionFields {
  id: string;
  version: string;
  env: Record<string, string>;
}

export type EvaluationTask =
  | { type: "functions"; path: string }
  | { type: "schema"; path: string }
  | { type: "authConfig"; path: string }
  | { type: "definition"; path: string };

export type ToHost =
  | {
      type: "code";
      version: string;
      modules: PackageModule[];
      /** Folder with the npm packages that Node modules import. */
      nodeModules?: string;
      importSeed: string;
      importTimeMs: number;
    }
  | { type: "dropCode"; version: string }
  | ({ type: "action"; modulePath: string; exportName: string; argsJson: string; sharesContext: boolean } & ActionFields)
  | ({
      type: "http";
      method: string;
      url: string;
      routedPath: string;
      headers: [string, string][];
      sharesContext: boolean;
      /** Number of the stream that carries the request body. */
      requestStream: number | null;
      responseStream: number;
    } & ActionFields)
  | { type: "evaluate"; id: string; version: string; env: Record<string, string>; tasks: EvaluationTask[] }
  | { type: "reply"; id: string; call: number; ok: boolean; text: string; data?: string }
  | { type: "bodyEnd"; stream: number; error?: string }
  | { type: "bodyCredit"; stream: number }
  | { type: "bodyCancel"; stream: number }
  | { type: "abort"; id: string }
  | { type: "end"; id: string }
  | { type: "ping"; token: number };

export type FromHost =
  | { type: "ready" }
  /** It fails what it runs and ends: nothing new is to be given to it. */
  | { type: "ending" }
  | { type: "pong"; token: number }
  | { type: "log"; id: string; level: string; messages: string[]; truncated: boolean; timestamp: number }
  | { type: "syscall"; id: string; call: number; op: string; args: string }
  | { type: "outcome"; id: string; ok: boolean; value?: string; error?: JsError }
  | { type: "head"; id: string; status: number; headers: [string, string][] }
  | { type: "bodyEnd"; stream: number; error?: JsError }
  | { type: "bodyCredit"; stream: number }
  | { type: "store"; id: string; call: number; stream: number; contentType: string; sha256?: string; size: number }
  | { type: "load"; id: string; call: number; stream: number; storageId: string }
  | { type: "evaluated"; id: string; reply: { Ok: unknown } | { Err: unknown } };
