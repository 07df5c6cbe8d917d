import type { AuthConfig } from "convex/server";

export default {
  providers: [
    { domain: process.env.OIDC_ISSUER ?? "", applicationID: "app" },
    {
      type: "customJwt",
      issuer: process.env.JWT_ISSUER ?? "",
      jwks: process.env.JWT_JWKS ?? "",
      algorithm: "ES256",
      applicationID: "app",
    },
    // The app signs these tokens itself, and serves the keys with its HTTP actions.
    { domain: process.env.CONVEX_SITE_URL ?? "", applicationID: "convex" },
  ],
} satisfies AuthConfig;
