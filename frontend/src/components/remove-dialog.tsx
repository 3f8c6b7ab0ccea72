import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import { Dialog } from "./dialog";

interface Properties {
  text: Catalogue;
  onRemove: () => void;
  onClose: () => void;
}

export function RemoveDialog({ text, onRemove, onClose }: Properties): JSX.Element {
  return (
    <Dialog title={text.remove.title} closeLabel={text.common.close} onClose={onClose}>
      <p class="dim">{text.remove.body}</p>
      <div class="button-row">
        <button type="button" class="button" onClick={onClose}>
          {text.remove.keep}
        </button>
        <button type="button" class="button danger-full" onClick={onRemove}>
          {text.common.delete}
        </button>
      </div>
    </Dialog>
  );
}
