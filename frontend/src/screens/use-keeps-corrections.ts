import { useEffect, useState } from "preact/hooks";
import { getHealth } from "../api/client";
import { identityOf } from "../state/app";
import { useApp } from "../state/context";

/** Whether the owner of the server keeps corrected photos for training: then the person is asked. */
export function useKeepsCorrections(): boolean {
  const { store } = useApp();
  const [keeps, setKeeps] = useState(false);
  useEffect(() => {
    const control = new AbortController();
    getHealth(control.signal, identityOf(store.get()))
      .then((health) => setKeeps(health.keeps_corrections))
      .catch(() => undefined); // Without a network nobody can be asked.
    return () => control.abort();
  }, [store]);
  return keeps;
}
