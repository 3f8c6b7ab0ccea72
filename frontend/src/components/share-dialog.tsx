import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Catalogue } from "../i18n";
import { canShare } from "../lib/files";
import { Dialog } from "./dialog";
import { Icon, type IconName } from "./icon";
import { IconButton } from "./icon-button";

export const EXPORTS = ["picture", "photo", "json", "coco"] as const;
export type Export = (typeof EXPORTS)[number];

interface Properties {
  text: Catalogue;
  /** This browser can read the photo. */
  hasPhoto: boolean;
  onExport: (what: Export, how: "share" | "save") => Promise<void>;
  onClose: () => void;
}

const ICONS: Record<Export, IconName> = { picture: "draw", photo: "photo", json: "pulse", coco: "lasso" };
const HINTS = { picture: "pictureHint", photo: "photoHint", json: "jsonHint", coco: "cocoHint" } as const;
/** The share sheet takes pictures and plain text; of JSON it knows nothing. */
const SHAREABLE: Record<Export, { type: string; name: string } | null> = {
  picture: { type: "image/png", name: "wall.png" },
  photo: { type: "image/jpeg", name: "wall.jpg" },
  json: null,
  coco: null,
};

export function ShareDialog({ text, hasPhoto, onExport, onClose }: Properties): JSX.Element {
  const [busy, setBusy] = useState<Export | null>(null);
  const start = (what: Export, how: "share" | "save"): void => {
    setBusy(what);
    void onExport(what, how).finally(() => setBusy(null));
  };
  return (
    <Dialog title={text.share.title} closeLabel={text.common.close} onClose={onClose}>
      <ul class="rows">
        {EXPORTS.filter((what) => what !== "photo" || hasPhoto).map((what) => {
          const sharing = SHAREABLE[what];
          return (
            <li key={what} class="row">
              <span class="row-icon">
                <Icon name={ICONS[what]} />
              </span>
              <span class="row-words">
                <strong>{text.share[what]}</strong>
                <span class="dim">{busy === what ? text.share.making : text.share[HINTS[what]]}</span>
              </span>
              {sharing !== null && canShare(sharing.type, sharing.name) && (
                <IconButton
                  icon="share"
                  label={`${text.share.share}: ${text.share[what]}`}
                  disabled={busy !== null}
                  onClick={() => start(what, "share")}
                />
              )}
              <button
                type="button"
                class="button small"
                disabled={busy !== null}
                aria-label={`${text.share.save}: ${text.share[what]}`}
                onClick={() => start(what, "save")}
              >
                {text.share.save}
              </button>
            </li>
          );
        })}
      </ul>
    </Dialog>
  );
}
