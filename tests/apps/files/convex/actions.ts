import { actionGeneric } from "convex/server";
import { type GenericId, v, type VId } from "convex/values";

const anyId = v.any() as unknown as VId<GenericId<"_storage">>;

/** Bytes that both sides of a test can make. */
function pattern(bytes: number): Uint8Array<ArrayBuffer> {
  const made = new Uint8Array(bytes);
  for (let index = 0; index < bytes; index += 1) {
    made[index] = (index * 31 + (index >> 8)) & 255;
  }
  return made;
}

export const storePattern = actionGeneric({
  args: { bytes: v.number(), type: v.optional(v.string()), sha256: v.optional(v.string()) },
  handler: async (ctx, { bytes, type, sha256 }) => {
    const blob = new Blob([pattern(bytes)], type === undefined ? {} : { type });
    return await ctx.storage.store(blob, sha256 === undefined ? {} : { sha256 });
  },
});

export const loadAndSum = actionGeneric({
  args: { id: anyId },
  handler: async (ctx, { id }) => {
    const blob = await ctx.storage.get(id);
    if (blob === null) {
      return null;
    }
    const bytes = await blob.arrayBuffer();
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const sha256 = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { size: blob.size, type: blob.type, sha256, isBlob: blob instanceof Blob };
  },
});

/** Everything else that actions do with files. */
export const lifeInAction = actionGeneric({
  args: { text: v.string() },
  handler: async (ctx, { text }) => {
    const ids = await Promise.all(Array.from({ length: 20 }, async (_, n) => await ctx.storage.store(new Blob([`${text} ${n}`]))));
    const texts = await Promise.all(ids.map(async (id) => await (await ctx.storage.get(id))?.text()));
    const address = await ctx.storage.getUrl(ids[0] as never);
    // eslint-disable-next-line @typescript-eslint/no-deprecated -- old apps call it
    const known = await ctx.storage.getMetadata(ids[0] as never);
    const uploadTo = await ctx.storage.generateUploadUrl();
    await Promise.all(ids.slice(1).map(async (id) => { await ctx.storage.delete(id); }));
    const gone = await ctx.storage.getUrl(ids[1] as never);
    return { texts, address, known, uploadTo, gone, id: ids[0] };
  },
});

/** What an action can catch. */
export const failures = actionGeneric({
  args: {},
  handler: async (ctx) => {
    const caught = async (work: () => Promise<unknown>): Promise<string> => {
      try {
        await work();
        return "nothing";
      } catch (error) {
        return `${String(error instanceof Error)} ${(error as Error).message}`;
      }
    };
    return {
      notABlob: await caught(async () => await ctx.storage.store("text" as never)),
      wrongDigest: await caught(async () => await ctx.storage.store(new Blob(["x"]), { sha256: btoa("x".repeat(32)) })),
      noDigest: await caught(async () => await ctx.storage.store(new Blob(["x"]), { sha256: "?" })),
      badId: await caught(async () => await ctx.storage.get("x" as never)),
      absent: await caught(async () => { await ctx.storage.delete(crypto.randomUUID() as never); }),
      unknown: (await ctx.storage.get(crypto.randomUUID() as never)) === null,
    };
  },
});

/** Forgets to wait for what it stores. */
export const forgetful = actionGeneric({
  args: {},
  handler: (ctx) => {
    void ctx.storage.store(new Blob([pattern(8 << 20)]));
    return "early";
  },
});
