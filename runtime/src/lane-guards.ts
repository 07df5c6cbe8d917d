/** Installs the guards of a lane's Web API; a module of its own, because imports are evaluated before everything else. */

import { installGuards } from "./web-guards.ts";

installGuards();
