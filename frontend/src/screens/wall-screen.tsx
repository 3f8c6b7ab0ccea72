import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { EmptyState } from "../components/empty-state";
import { entryOf } from "../state/app";
import { useApp, useSelect, useText } from "../state/context";
import { NOTHING_FOUND } from "../state/entry";
import { WallView } from "./wall-view";

interface Properties {
  id: string;
  mode: "explore" | "correct";
}

/** One wall, from the first moment of its analysis on. */
export function WallScreen({ id, mode }: Properties): JSX.Element | null {
  const { shelves } = useApp();
  const text = useText();
  const loaded = useSelect((state) => state.entries !== null);
  const entry = useSelect((state) => entryOf(state, id));
  const opened = useSelect((state) => (state.opened?.id === id ? state.opened : null));
  useEffect(() => {
    if (loaded) void shelves.open(id);
  }, [shelves, id, loaded]);
  useEffect(() => () => shelves.close(), [shelves, id]);

  if (!loaded) return null;
  if (entry === null) {
    return (
      <main id="main" class="screen" tabIndex={-1}>
        <EmptyState
          alone
          title={text.wall.gone}
          hint={text.wall.goneHint}
          action={text.common.newPhoto}
          href="#/"
        />
      </main>
    );
  }
  return (
    <WallView
      entry={entry}
      mode={mode}
      photo={opened?.photo ?? null}
      findings={opened?.findings ?? NOTHING_FOUND}
    />
  );
}
