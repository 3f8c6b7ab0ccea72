import { useEffect, useState } from "preact/hooks";

export type OpenDialog = "share" | "remove" | null;

/** Which dialog lies over the wall. Back from under an open one leaves it closed. */
export function useDialog(mode: "explore" | "correct"): [OpenDialog, (open: OpenDialog) => void] {
  const [open, setOpen] = useState<OpenDialog>(null);
  useEffect(() => setOpen(null), [mode]);
  return [open, setOpen];
}
