"use node";

export { failures, lifeInAction, loadAndSum, storePattern } from "./actions";
