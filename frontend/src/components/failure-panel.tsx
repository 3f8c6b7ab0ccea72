import type { JSX } from "preact";
import { wantsKey } from "../api/failure";
import { type Catalogue, sentenceOf } from "../i18n";
import { Icon } from "./icon";
import { KeyField } from "./key-field";

interface Properties {
  code: string;
  detail: string;
  text: Catalogue;
  apiKey: string;
  /** null: sending this photo again cannot help. */
  onRetry: (() => void) | null;
  onNewPhoto: () => void;
  onKey: (key: string) => void;
}

/** These are of the photo itself: only another one helps. */
const OF_THE_PHOTO = [
  "not_an_image",
  "photo_unreadable",
  "photo_corrupt",
  "photo_empty",
  "photo_missing",
  "photo_needs_too_much_memory",
  "photo_too_many_bytes",
  "photo_too_many_pixels",
  "photo_too_small",
  "photo_truncated",
  "photo_type_unsupported",
];

/** What went wrong in a sentence, and what to do now. */
export function FailurePanel(properties: Properties): JSX.Element {
  const { code, detail, text, apiKey, onRetry, onNewPhoto, onKey } = properties;
  const { what, next } = sentenceOf(text, code, detail);
  const hopeless = OF_THE_PHOTO.includes(code) || onRetry === null;
  return (
    <section class="failure-panel" role="alert">
      <div class="failure-head">
        <span class="failure-sign">
          <Icon name={wantsKey(code) ? "key" : "warning"} />
        </span>
        <div>
          <h2>{what}</h2>
          <p class="dim">{next}</p>
        </div>
      </div>
      {wantsKey(code) && <KeyField value={apiKey} text={text} onSave={onKey} />}
      <div class="button-row">
        {!hopeless && !wantsKey(code) && (
          <button type="button" class="button primary" onClick={onRetry}>
            {code === "job_not_found" || code === "cancelled" ? text.common.again : text.common.retry}
          </button>
        )}
        <button type="button" class={hopeless ? "button primary" : "button"} onClick={onNewPhoto}>
          {text.common.newPhoto}
        </button>
      </div>
    </section>
  );
}
