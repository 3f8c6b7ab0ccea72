import { useEffect, useState } from "preact/hooks";
import { useApp, useSelect } from "../state/context";

export type Timings = Readonly<Record<string, number>>;

/** Stage times of the last analysis that this phone knows, milliseconds. */
export function useLastTimings(): Timings | null {
  const { shelves } = useApp();
  const last = useSelect((state) => state.entries?.find(({ status }) => status === "done")?.id ?? null);
  const [timings, setTimings] = useState<Timings | null>(null);
  useEffect(() => {
    let here = true;
    if (last === null) return;
    void shelves.findings(last).then((findings) => {
      if (here) setTimings(findings.result?.timings_ms ?? null);
    });
    return () => {
      here = false;
    };
  }, [shelves, last]);
  return timings;
}
