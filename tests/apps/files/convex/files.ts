import { mutationGeneric, queryGeneric } from "convex/server";
import { type GenericId, v, type VId } from "convex/values";

/** Any text: tests pass ids of all sorts. */
const anyId = v.any() as unknown as VId<GenericId<"_storage">>;

export const uploadUrl = mutationGeneric({ args: {}, handler: async (ctx) => await ctx.storage.generateUploadUrl() });

/** Keeps a file under a name. */
export const keep = mutationGeneric({
  args: { name: v.string(), file: v.id("_storage") },
  handler: async (ctx, photo) => await ctx.db.insert("photos", photo),
});

/** The addresses of the files of a name. */
export const urls = queryGeneric({
  args: { name: v.string() },
  handler: async (ctx, { name }) => {
    const photos = (await ctx.db
      .query("photos")
      .withIndex("by_name", (q) => q.eq("name", name))
      .collect()) as { file: GenericId<"_storage"> }[];
    return await Promise.all(photos.map(async (photo) => await ctx.storage.getUrl(photo.file)));
  },
});

export const url = queryGeneric({ args: { id: anyId }, handler: async (ctx, { id }) => await ctx.storage.getUrl(id) });

// eslint-disable-next-line @typescript-eslint/no-deprecated -- old apps call it
export const metadata = queryGeneric({ args: { id: anyId }, handler: async (ctx, { id }) => await ctx.storage.getMetadata(id) });

export const row = queryGeneric({ args: { id: v.id("_storage") }, handler: async (ctx, { id }) => await ctx.db.system.get(id) });

export const rows = queryGeneric({ args: {}, handler: async (ctx) => await ctx.db.system.query("_storage").collect() });

/** Reads a row of `_storage` the wrong way. */
export const throughDb = queryGeneric({ args: { id: anyId }, handler: async (ctx, { id }) => (await ctx.db.get(id as never)) as null });

export const remove = mutationGeneric({
  args: { id: anyId },
  handler: async (ctx, { id }) => {
    await ctx.storage.delete(id);
  },
});

/** Deletes, sees its own deletion, and then takes it back by failing. */
export const removeAndFail = mutationGeneric({
  args: { id: anyId },
  handler: async (ctx, { id }) => {
    await ctx.storage.delete(id);
    throw new Error(`gone for me: ${String((await ctx.storage.getUrl(id)) === null)}`);
  },
});

/** What mutations may not do with files. */
export const storeInMutation = mutationGeneric({
  args: {},
  handler: async (ctx) => await ctx.storage.store(new Blob(["x"])),
});
