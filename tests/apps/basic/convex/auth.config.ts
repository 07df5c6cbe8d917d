import type { AuthConfig } from "convex/server";

/** The public half of a key that signed the tokens in `tests/python`; the other half is gone. */
const JWKS =
  '{"keys":[{"kty":"EC","x":"l6_VoSQW21idwzjxCAMDCEmroJChiAd88GEoJN60faE","y":"mbCc7PsVzup4lRWZZAn8-FZIWKfuYkdfYcgickwx5xs","crv":"P-256","kid":"fixture","use":"sig","alg":"ES256"}]}';

export default {
  providers: [
    {
      type: "customJwt",
      issuer: "https://fixture.example.com",
      jwks: `data:application/json,${encodeURIComponent(JWKS)}`,
      algorithm: "ES256",
      applicationID: "python",
    },
  ],
} satisfies AuthConfig;
