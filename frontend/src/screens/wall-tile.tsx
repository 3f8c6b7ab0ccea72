import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Thumbnail } from "../components/thumbnail";
import { useApp, useText } from "../state/context";
import type { Entry } from "../state/entry";
import { hashOf } from "../state/route";
import { usePhotoUrl } from "./use-photo-url";

/** An entry as it stands in a list. */
export function WallTile({ entry }: { entry: Entry }): JSX.Element {
  const { shelves } = useApp();
  const text = useText();
  const [thumbnail, setThumbnail] = useState<Blob | null>(null);
  const { id, prepared } = entry;
  useEffect(() => {
    let here = true;
    void shelves.thumbnail(id).then((found) => {
      if (here) setThumbnail(found);
    });
    return () => {
      here = false;
    };
  }, [shelves, id, prepared]);
  const date = new Date(entry.createdAt).toLocaleString(text.locale, {
    month: "short",
    day: "numeric",
    hour: "numeric",
    minute: "2-digit",
  });
  const state =
    entry.status === "failed"
      ? text.history.failed
      : entry.counts === null
        ? `${text.history.running} ${Math.round(entry.progress.percent)} %`
        : `${text.common.problems(entry.counts.problems)} · ${text.common.holds(entry.counts.holds)}`;
  return (
    <Thumbnail
      href={hashOf({ at: "wall", id, mode: "explore" })}
      url={usePhotoUrl(thumbnail)}
      title={date}
      state={state}
      status={entry.status}
      percent={entry.progress.percent}
    />
  );
}
