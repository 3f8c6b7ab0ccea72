import { useRef } from "preact/hooks";
import { go, hashOf, type Route } from "../state/route";

/** Between looking and correcting. Back leads out of correcting, and never into it again. */
export function useTurn(id: string, mode: "explore" | "correct"): () => void {
  const entered = useRef(false);
  return () => {
    if (mode === "explore") {
      entered.current = true;
      go({ at: "wall", id, mode: "correct" });
    } else if (entered.current) {
      entered.current = false;
      history.back();
    } else {
      const looking: Route = { at: "wall", id, mode: "explore" };
      location.replace(hashOf(looking));
    }
  };
}
