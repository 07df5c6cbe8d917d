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
import type * as http from "../http.js";
import type * as messages from "../messages.js";
import type * as misc from "../misc.js";

declare const fullApi: ApiFromModules<{
  counters: typeof counters;
  http: typeof http;
  messages: typeof messages;
  misc: typeof misc;
}>;

export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;

export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;
