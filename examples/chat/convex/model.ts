/** What the page may know about the model. Never the key or the address. */
import { query } from "./_generated/server";
import { modelLabel, modelSettings } from "./modelSettings";

/** Who answers: a label where it is a stand-in, and whether any model is set up at all. */
export const about = query({
  args: {},
  handler: (): { label: string | null; ready: boolean } => ({
    label: modelLabel(),
    ready: modelSettings() !== null,
  }),
});
