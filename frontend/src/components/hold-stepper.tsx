import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { IconButton } from "./icon-button";

interface Properties {
  text: Catalogue;
  onStep: (by: 1 | -1) => void;
}

/** From hold to hold for who cannot tap on the photo. It stays while cards change around it, and keeps the focus. */
export function HoldStepper({ text, onStep }: Properties): JSX.Element {
  return (
    <div class="stepper">
      <IconButton icon="back" label={text.hold.previous} onClick={() => onStep(-1)} />
      <IconButton icon="chevron" label={text.hold.next} onClick={() => onStep(1)} />
    </div>
  );
}
