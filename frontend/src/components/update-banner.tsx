import type { JSX } from "preact";
import type { Catalogue } from "../i18n";

interface Properties {
  text: Catalogue;
  onUpdate: () => void;
  onLater: () => void;
}

export function UpdateBanner({ text, onUpdate, onLater }: Properties): JSX.Element {
  return (
    <section class="update-banner">
      <p>{text.update.ready}</p>
      <button type="button" class="button small" onClick={onLater}>
        {text.update.later}
      </button>
      <button type="button" class="button small primary" onClick={onUpdate}>
        {text.update.reload}
      </button>
    </section>
  );
}
