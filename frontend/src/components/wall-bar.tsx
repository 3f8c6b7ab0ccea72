import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { Icon } from "./icon";
import { IconButton } from "./icon-button";

interface Properties {
  text: Catalogue;
  done: boolean;
  failed: boolean;
  correcting: boolean;
  onShare: () => void;
  onCorrect: () => void;
  onRemove: () => void;
}

/** Floats over the photo's top. */
export function WallBar(properties: Properties): JSX.Element {
  const { text, done, failed, correcting, onShare, onCorrect, onRemove } = properties;
  return (
    <header class="wall-bar">
      <a class="icon-button" href="#/history" aria-label={text.common.back} title={text.common.back}>
        <Icon name="back" />
      </a>
      {(done || failed) && (
        <div class="wall-actions">
          {done && (
            <IconButton icon="draw" label={text.wall.correct} pressed={correcting} onClick={onCorrect} />
          )}
          {done && <IconButton icon="share" label={text.wall.share} onClick={onShare} />}
          <IconButton icon="trash" label={text.common.delete} onClick={onRemove} />
        </div>
      )}
    </header>
  );
}
