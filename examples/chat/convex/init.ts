/** Fills an empty chat with a short conversation, so that the first visitor sees it move. */
import { internal } from "./_generated/api";
import { internalMutation } from "./_generated/server";

type Line = { author: string; body: string; after_ms: number };

const OPENING = { author: "Odile", body: "Anyone else here yet, or am I talking to the furniture?" };

const CONVERSATION: Line[] = [
  { author: "Tarek", body: "The furniture says hi. 👋", after_ms: 1_500 },
  { author: "Odile", body: "Did you reload to see that? I didn’t touch anything, it just appeared.", after_ms: 3_500 },
  {
    author: "Tarek",
    body: "Nothing to reload. The page asks for the list once and is told whenever it changes.",
    after_ms: 6_000,
  },
  { author: "Wren", body: "Open a second tab next to this one: you’ll be somebody else there.", after_ms: 8_500 },
  {
    author: "Tarek",
    body: "And put @gpt in a message to pull the model into the room. Whoever asks sees the answer word by word, the rest of us in sips.",
    after_ms: 11_500,
  },
  { author: "Odile", body: "Right. Somebody ask it something difficult.", after_ms: 14_000 },
];

/**
 * Safe to run any number of times. The opening is inserted here and now, so that a second run finds
 * it and does nothing even while the rest is still to come.
 */
export default internalMutation({
  args: {},
  handler: async (ctx) => {
    if ((await ctx.db.query("messages").first()) !== null) return;
    await ctx.db.insert("messages", OPENING);
    for (const { author, body, after_ms } of CONVERSATION) {
      await ctx.scheduler.runAfter(after_ms, internal.messages.post, { author, body });
    }
  },
});
