import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { Segmented } from "./segmented";

interface Properties {
  share: boolean;
  text: Catalogue;
  onChange: (share: boolean) => void;
}

/** Asks whether the server's owner may keep the photos that are corrected here. */
export function ShareChoice({ share, text, onChange }: Properties): JSX.Element {
  const words = text.settings;
  return (
    <section class="group">
      <Segmented
        label={words.share}
        options={[
          { value: "no", label: words.shareNo },
          { value: "yes", label: words.shareYes },
        ]}
        value={share ? "yes" : "no"}
        onChange={(answer) => onChange(answer === "yes")}
      />
      <p class="dim">{words.shareHint}</p>
    </section>
  );
}
