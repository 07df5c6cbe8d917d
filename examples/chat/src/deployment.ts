/** Where the backend is, as the `convex` CLI writes it into `.env.local`. Read once, when the page is built. */

export type Deployment = {
  /** The client API: queries and mutations, over a WebSocket. */
  url: string;
  /** Where HTTP actions are. */
  siteUrl: string;
};

/** Either the deployment, or the variables that are missing or are not addresses. */
export function readDeployment(env: Record<string, unknown>): Deployment | { missing: string[] } {
  const url = address(env.VITE_CONVEX_URL);
  const siteUrl = address(env.VITE_CONVEX_SITE_URL);
  if (url !== null && siteUrl !== null) return { url, siteUrl };
  const missing: string[] = [];
  if (url === null) missing.push("VITE_CONVEX_URL");
  if (siteUrl === null) missing.push("VITE_CONVEX_SITE_URL");
  return { missing };
}

function address(value: unknown): string | null {
  if (typeof value !== "string" || !/^https?:\/\//.test(value) || !URL.canParse(value)) return null;
  return value.replace(/\/+$/, "");
}
