import type { SeenHold } from "../lib/corrections";
import type { Catalogue } from ".";

/** What a hold is to its problem, and whether that is a guess; null where it is neither start nor top. */
export function markOf(
  { tag, estimated }: Pick<SeenHold, "tag" | "estimated">,
  text: Catalogue,
): string | null {
  if (tag === null) return null;
  return estimated ? text.hold.guess(text.hold.tags[tag]) : text.hold.tags[tag];
}
