import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { Icon } from "./icon";
import { IconButton } from "./icon-button";

interface Properties {
  text: Catalogue;
  done: boolean;
  correcting: boolean;
  onShare: () => void;
  onCorrect: () => void;
  onRemove: () => void;
}

/** Floats over the photo's top. */
export function WallBar({ text, done, correcting, onShare, onCorrect, onRemove }: Properties): JSX.Element {
  return (
    <header class="wall-bar">
      <a class="icon-button" href="#/history" aria-label={text.common.back} title={text.common.back}>
        <Icon name="back" />
      </a>
      {done && (
        <div class="wall-actions">
          <IconButton icon="draw" label={text.wall.correct} pressed={correcting} onClick={onCorrect} />
          <IconButton icon="share" label={text.wall.share} onClick={onShare} />
          <IconButton icon="trash" label={text.common.delete} onClick={onRemove} />
        </div>
      )}
    </header>
  );
}
