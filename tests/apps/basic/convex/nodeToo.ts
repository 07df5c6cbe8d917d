"use node";

import { action } from "./_generated/server";
import { failDeep } from "./deep";

export const failShared = action({ args: {}, handler: (): null => failDeep() });
