import { useEffect, useState } from "preact/hooks";
import { getHealth } from "../api/client";
import { identityOf } from "../state/app";
import { useApp } from "../state/context";

/** Whether the server keeps corrected photos of those who allow it; false while it is not known. */
export function useKeepsCorrections(): boolean {
  const { store } = useApp();
  const [keeps, setKeeps] = useState(false);
  useEffect(() => {
    const control = new AbortController();
    getHealth(control.signal, identityOf(store.get())).then(
      (health) => setKeeps(health.keeps_corrections),
      () => undefined,
    );
    return () => control.abort();
  }, [store]);
  return keeps;
}
