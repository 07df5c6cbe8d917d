import type { CSSProperties } from "react";

/** A round picture made from a name: its initials, in a colour that is always the same for the name. */
export function Avatar({ name, model = false }: { name: string; model?: boolean }) {
  if (model) {
    return (
      <span className="avatar avatar-model" aria-hidden="true">
        <svg viewBox="0 0 24 24">
          <path d="M12 3.500c.7 4.600 3.400 7.300 8.500 8.500-5.100 1.200-7.800 3.900-8.500 8.500-.7-4.600-3.400-7.300-8.500-8.500 5.100-1.200 7.800-3.900 8.500-8.500z" />
        </svg>
      </span>
    );
  }
  return (
    <span className="avatar" aria-hidden="true" style={{ "--hue": hueOf(name) } as CSSProperties}>
      {initialsOf(name)}
    </span>
  );
}

/** A hue in degrees. Steps of 15, so that two names look either alike or clearly different. */
export function hueOf(name: string): number {
  let hash = 0;
  for (const letter of name) hash = (Math.imul(hash, 31) + (letter.codePointAt(0) ?? 0)) >>> 0;
  return (hash % 24) * 15;
}

/** One or two capital letters. */
export function initialsOf(name: string): string {
  const words = name.trim().split(/\s+/u);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => (word ? String.fromCodePoint(word.codePointAt(0) ?? 63) : "?")).join("").toUpperCase();
}
