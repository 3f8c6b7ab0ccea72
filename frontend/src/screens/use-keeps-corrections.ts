import { useEffect, useState } from "preact/hooks";
import { getHealth } from "../api/client";
import { identityOf } from "../state/app";
import { useApp, useSelect } from "../state/context";

/**
 * Whether the owner of the server keeps corrected photos for training: then the person is told and asked. null until
 * the server has said so, and where it cannot be asked.
 */
export function useKeepsCorrections(): boolean | null {
  const { store } = useApp();
  const online = useSelect((state) => state.online);
  const apiKey = useSelect((state) => state.settings.apiKey);
  const [keeps, setKeeps] = useState<boolean | null>(null);
  useEffect(() => {
    if (!online) return;
    const control = new AbortController();
    getHealth(control.signal, identityOf(store.get()))
      .then((health) => setKeeps(health.keeps_corrections))
      .catch(() => undefined);
    return () => control.abort();
  }, [store, online, apiKey]);
  return keeps;
}
