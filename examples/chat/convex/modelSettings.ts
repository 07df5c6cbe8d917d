/** Which model answers, as the deployment's environment variables say. Never calls it. */

// The one part of Node's `process` that functions have.
declare const process: { env: Record<string, string | undefined> };

/** Asked for when `OPENAI_MODEL` is not set. */
const DEFAULT_MODEL = "gpt-4o-mini";

export type ModelSettings = {
  apiKey: string;
  /** Where the API is; null for the one of the `openai` package. */
  baseURL: string | null;
  model: string;
};

/**
 * The settings, or null when no model is set up. A server of your own often needs no key, so with
 * `OPENAI_BASE_URL` the key may be missing.
 */
export function modelSettings(): ModelSettings | null {
  const baseURL = variable("OPENAI_BASE_URL");
  const apiKey = variable("OPENAI_API_KEY") ?? (baseURL === null ? null : "none");
  if (apiKey === null) return null;
  return { apiKey, baseURL, model: variable("OPENAI_MODEL") ?? DEFAULT_MODEL };
}

/** What the page calls the model when it is not the real thing, for instance "local stand-in". */
export function modelLabel(): string | null {
  return variable("MODEL_LABEL");
}

function variable(name: string): string | null {
  const value = process.env[name]?.trim();
  return value === undefined || value === "" ? null : value;
}
