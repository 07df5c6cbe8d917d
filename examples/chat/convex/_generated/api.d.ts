/* eslint-disable */
/**
 * Generated `api` utility.
 *
 * THIS CODE IS AUTOMATICALLY GENERATED.
 *
 * To regenerate, run `npx convex dev`.
 * @module
 */

import type * as answerBatch from "../answerBatch.js";
import type * as answerPulse from "../answerPulse.js";
import type * as answerRelay from "../answerRelay.js";
import type * as answerRequest from "../answerRequest.js";
import type * as answerSaver from "../answerSaver.js";
import type * as answers from "../answers.js";
import type * as http from "../http.js";
import type * as init from "../init.js";
import type * as limits from "../limits.js";
import type * as mention from "../mention.js";
import type * as messages from "../messages.js";
import type * as model from "../model.js";
import type * as modelCall from "../modelCall.js";
import type * as modelSettings from "../modelSettings.js";

import type {
  ApiFromModules,
  FilterApi,
  FunctionReference,
} from "convex/server";

declare const fullApi: ApiFromModules<{
  answerBatch: typeof answerBatch;
  answerPulse: typeof answerPulse;
  answerRelay: typeof answerRelay;
  answerRequest: typeof answerRequest;
  answerSaver: typeof answerSaver;
  answers: typeof answers;
  http: typeof http;
  init: typeof init;
  limits: typeof limits;
  mention: typeof mention;
  messages: typeof messages;
  model: typeof model;
  modelCall: typeof modelCall;
  modelSettings: typeof modelSettings;
}>;

/**
 * A utility for referencing Convex functions in your app's public API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = api.myModule.myFunction;
 * ```
 */
export declare const api: FilterApi<
  typeof fullApi,
  FunctionReference<any, "public">
>;

/**
 * A utility for referencing Convex functions in your app's internal API.
 *
 * Usage:
 * ```js
 * const myFunctionReference = internal.myModule.myFunction;
 * ```
 */
export declare const internal: FilterApi<
  typeof fullApi,
  FunctionReference<any, "internal">
>;

export declare const components: {};
