import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { EmptyState } from "../components/empty-state";
import { IconButton } from "../components/icon-button";
import { RemoveDialog } from "../components/remove-dialog";
import { useApp, useSelect, useText } from "../state/context";
import { useKeptFocus } from "./use-kept-focus";
import { WallTile } from "./wall-tile";

/** The walls on this phone. */
export function HistoryScreen(): JSX.Element {
  const { analyses, notify } = useApp();
  const text = useText();
  const entries = useSelect((state) => state.entries);
  const lasting = useSelect((state) => state.lasting);
  const [removing, setRemoving] = useState<string | null>(null);
  const screen = useRef<HTMLElement>(null);
  useKeptFocus(screen);
  return (
    <main id="main" class="screen history" tabIndex={-1} ref={screen}>
      <h1>{text.history.title}</h1>
      {!lasting && <p class="note">{text.history.fleeting}</p>}
      {entries?.length === 0 && (
        <EmptyState
          title={text.history.empty}
          hint={text.history.emptyHint}
          action={text.history.first}
          href="#/"
        />
      )}
      <ul class="tiles">
        {(entries ?? []).map((entry) => (
          <li key={entry.id} class="tile">
            <WallTile entry={entry} />
            <IconButton
              icon="trash"
              label={text.history.delete(new Date(entry.createdAt).toLocaleString(text.locale))}
              onClick={() => setRemoving(entry.id)}
            />
          </li>
        ))}
      </ul>
      {removing !== null && (
        <RemoveDialog
          text={text}
          onClose={() => setRemoving(null)}
          onRemove={() => {
            setRemoving(null);
            void analyses.erase(removing).then((how) => notify(text.remove[how]));
          }}
        />
      )}
    </main>
  );
}
