/** What something comes to: its value, or the name and message of what it throws. */
export async function outcome(run: () => unknown): Promise<unknown> {
  try {
    return { value: (await run()) ?? null };
  } catch (error) {
    return { name: (error as Error).name, message: (error as Error).message };
  }
}
