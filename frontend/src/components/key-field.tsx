import type { JSX } from "preact";
import { useId, useState } from "preact/hooks";
import type { Catalogue } from "../i18n";

interface Properties {
  value: string;
  text: Catalogue;
  onSave: (key: string) => void;
}

export function KeyField({ value, text, onSave }: Properties): JSX.Element {
  const id = useId();
  const [key, setKey] = useState(value);
  const [seen, setSeen] = useState(false);
  // The types of each kind of input are apart; these two differ in nothing else.
  const kind = { type: seen ? "text" : "password" } as { type: "text" };
  return (
    <form
      class="key-field"
      onSubmit={(event) => {
        event.preventDefault();
        // What no key of a server holds cannot be sent in a header either.
        onSave(key.replace(/[^!-~]/g, ""));
      }}
    >
      <label for={id}>{text.settings.key}</label>
      <div class="field-row">
        <input
          id={id}
          {...kind}
          autocomplete="off"
          autocapitalize="none"
          spellcheck={false}
          value={key}
          aria-describedby={`${id}-hint`}
          onInput={(event) => setKey(event.currentTarget.value)}
        />
        <button type="button" class="button small" aria-pressed={seen} onClick={() => setSeen(!seen)}>
          {seen ? text.settings.hide : text.settings.show}
        </button>
        <button type="submit" class="button small primary">
          {text.settings.keySave}
        </button>
      </div>
      <p id={`${id}-hint`} class="note">
        {text.settings.keyHint}
      </p>
    </form>
  );
}
