import type { Export } from "../components/share-dialog";
import { save, share } from "../lib/files";
import type { Wall } from "../lib/corrections";
import { asCoco, asJson } from "../lib/formats";
import { drawPhoto, drawPicture } from "../lib/picture";
import { useApp, useText } from "../state/context";
import type { Entry, Findings } from "../state/entry";

type Exporter = (what: Export, how: "share" | "save") => Promise<void>;

/** Makes the file that was asked for, and hands it over. */
export function useExports(
  entry: Entry,
  photo: Blob | null,
  wall: Wall | null,
  findings: Findings,
): Exporter {
  const { notify } = useApp();
  const text = useText();
  const make = async (what: Export, name: string): Promise<Blob> => {
    if (wall === null || findings.result === null) throw new Error("there is nothing to export");
    if (what === "picture") {
      return await drawPicture(new AbortController().signal, photo, wall, text.hold.tags);
    }
    if (what === "photo" && photo !== null) {
      return await drawPhoto(new AbortController().signal, photo, wall);
    }
    const json =
      what === "json" ? asJson(findings.result, entry.corrections, wall) : asCoco(wall, `${name}.jpg`);
    return new Blob([json], { type: "application/json" });
  };
  return async (what, how) => {
    const name = `wall-${new Date(entry.createdAt).toISOString().slice(0, 16).replace(/[T:]/g, "-")}`;
    const file = `${name}${{ picture: ".png", photo: ".jpg", json: ".json", coco: ".coco.json" }[what]}`;
    try {
      const blob = await make(what, name);
      if (how === "share") await share(blob, file);
      else {
        save(blob, file);
        notify(text.share.saved);
      }
    } catch {
      notify(text.share.failed);
    }
  };
}
