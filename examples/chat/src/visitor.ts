/**
 * Who this tab is. Every tab is a visitor of its own, with a made-up name that survives a reload.
 *
 * `sessionStorage` is per tab, but duplicating a tab copies it. So the tab also holds a lock with its
 * name: a copy does not get the lock, and makes up another name.
 */

const STORAGE_KEY = "eddy.visitor";

/** A reload may ask for the lock before the old page has given it up. */
const LOCK_WAIT_MS_MAX = 400;

/** The name of this tab's visitor, made up if need be. */
export async function loadVisitor(): Promise<string> {
  const kept = sessionStorage.getItem(STORAGE_KEY);
  if (kept !== null && (await holdName(kept))) return kept;
  const name = await makeUpName();
  sessionStorage.setItem(STORAGE_KEY, name);
  await holdName(name);
  return name;
}

async function makeUpName(): Promise<string> {
  // The names weigh more than the rest of the page; a reload does without them.
  const { faker } = await import("@faker-js/faker/locale/en");
  return `${faker.person.firstName()} ${faker.person.lastName()}`;
}

/** Takes the lock for as long as the page lives. False when another tab has it. */
function holdName(name: string): Promise<boolean> {
  // Absent where the page is not served securely. Then duplicated tabs share their name.
  const locks = (navigator as { locks?: LockManager }).locks;
  if (!locks) return Promise.resolve(true);
  return new Promise((resolve) => {
    const forever = new Promise<never>(() => undefined);
    locks
      .request(`${STORAGE_KEY}:${name}`, { signal: AbortSignal.timeout(LOCK_WAIT_MS_MAX) }, () => {
        resolve(true);
        return forever;
      })
      .catch(() => { resolve(false); });
  });
}
