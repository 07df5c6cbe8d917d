/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";
import type * as counters from "../counters.js";
import type * as deep from "../deep.js";
import type * as http from "../http.js";
import type * as messages from "../messages.js";
import type * as misc from "../misc.js";
import type * as node from "../node.js";
import type * as nodeToo from "../nodeToo.js";
import type * as runtime from "../runtime.js";
import type * as sentences from "../sentences.js";

declare const fullApi: ApiFromModules<{
  counters: typeof counters;
  deep: typeof deep;
  http: typeof http;
  messages: typeof messages;
  misc: typeof misc;
  node: typeof node;
  nodeToo: typeof nodeToo;
  runtime: typeof runtime;
  sentences: typeof sentences;
}>;

export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;

export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;
