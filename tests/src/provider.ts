/** An OpenID provider for tests: a discovery document, keys that change, and tokens as good or bad as a test wants them. */

import { createHmac, generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";

export type Claims = Record<string, unknown>;

type Algorithm = "RS256" | "ES256";

interface SigningKey {
  id: string;
  algorithm: Algorithm;
  secret: KeyObject;
  public: KeyObject;
}

/** Certificate and key of a server that speaks TLS. */
interface Certificate {
  cert: Buffer;
  key: Buffer;
}

export class AuthProvider {
  /** Paths that were asked for. */
  readonly requests: string[] = [];
  /** While true, connections end without an answer. */
  down = false;
  #key: SigningKey;
  #keys = 0;
  readonly #algorithm: Algorithm;
  readonly #server: Server;
  readonly #scheme: string;

  private constructor(algorithm: Algorithm, certificate: Certificate | undefined) {
    this.#algorithm = algorithm;
    this.#key = this.#newKey();
    const answer: RequestListener = (request, response) => {
      this.requests.push(request.url ?? "");
      if (this.down) {
        request.socket.destroy();
        return;
      }
      const body =
        request.url === "/.well-known/openid-configuration"
          ? { issuer: this.issuer, jwks_uri: `${this.issuer}/keys` }
          : request.url === "/keys"
            ? { keys: [this.jwk()] }
            : undefined;
      response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json", "cache-control": "max-age=300" });
      response.end(JSON.stringify(body));
    };
    this.#scheme = certificate === undefined ? "http" : "https";
    this.#server = certificate === undefined ? createServer(answer) : createSecureServer(certificate, answer);
  }

  static async start(algorithm: Algorithm, certificate?: Certificate): Promise<AuthProvider> {
    const provider = new AuthProvider(algorithm, certificate);
    await new Promise<void>((listening) => provider.#server.listen(0, "127.0.0.1", listening));
    return provider;
  }

  get issuer(): string {
    const address = this.#server.address();
    return `${this.#scheme}://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  }

  /** The public key that is published. */
  jwk(): Claims {
    return { ...this.#key.public.export({ format: "jwk" }), kid: this.#key.id, use: "sig", alg: this.#algorithm };
  }

  /** Publishes and signs with another key from now on. */
  rotate(): void {
    this.#key = this.#newKey();
  }

  /** A token for the audience `app`, good for an hour; claims that are `undefined` are left out. */
  token(claims: Claims = {}, header: Claims = {}): string {
    const now = Math.floor(Date.now() / 1000);
    const message = unsigned({ alg: this.#algorithm, typ: "JWT", kid: this.#key.id, ...header }, { iss: this.issuer, sub: "ada", aud: "app", iat: now, exp: now + 3600, ...claims });
    const signature = sign("sha256", Buffer.from(message), { key: this.#key.secret, dsaEncoding: "ieee-p1363" });
    return `${message}.${signature.toString("base64url")}`;
  }

  /** A token that is "signed" with the public key as if it were a shared secret. */
  confusedToken(): string {
    const pem = this.#key.public.export({ format: "pem", type: "spki" });
    const [, claims = ""] = this.token().split(".");
    const message = `${encode({ alg: "HS256", typ: "JWT", kid: this.#key.id })}.${claims}`;
    return `${message}.${createHmac("sha256", pem).update(message).digest("base64url")}`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #newKey(): SigningKey {
    const pair = this.#algorithm === "RS256" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#keys += 1;
    return { id: `key-${this.#keys}`, algorithm: this.#algorithm, secret: pair.privateKey, public: pair.publicKey };
  }
}

/** Header and payload of a token, without a signature. */
export function unsigned(header: Claims, claims: unknown): string {
  return `${encode(header)}.${encode(claims)}`;
}

function encode(part: unknown): string {
  return Buffer.from(JSON.stringify(part)).toString("base64url");
}
