import { useEffect, useState } from "react";
import { loadVisitor } from "./visitor";

// One request for the whole page, however often components are mounted.
let visitor: Promise<string> | null = null;

/** This tab's name, or null for the moment until it is known. */
export function useVisitor(): string | null {
  const [name, setName] = useState<string | null>(null);
  useEffect(() => {
    let mounted = true;
    visitor ??= loadVisitor();
    void visitor.then((loaded) => {
      if (mounted) setName(loaded);
    });
    return () => {
      mounted = false;
    };
  }, []);
  return name;
}
