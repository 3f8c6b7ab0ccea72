import { useMemo } from "preact/hooks";
import { correct, type Correction, type Found, type Wall } from "../lib/corrections";
import type { Entry, Findings } from "../state/entry";

const NO_CORRECTIONS: readonly Correction[] = [];

/** What is to be drawn: holds as soon as they are known, corrected once all is known. */
export function useWall(entry: Entry | null, findings: Findings | null): Wall | null {
  const corrections = entry?.corrections ?? NO_CORRECTIONS;
  const size = entry?.size ?? null;
  return useMemo(() => {
    if (findings === null) return null;
    if (findings.result !== null) return correct(findings.result, corrections);
    if (size === null) return null;
    const { holds, problems } = findings;
    const partial: Found = {
      image_width: size.width,
      image_height: size.height,
      hold_data: [...holds],
      problems: [...problems],
    };
    return correct(partial, NO_CORRECTIONS);
  }, [findings, corrections, size]);
}
