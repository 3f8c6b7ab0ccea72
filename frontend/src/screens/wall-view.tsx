import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { DrawnStroke } from "../components/drawn-stroke";
import { RemoveDialog } from "../components/remove-dialog";
import { ShareDialog } from "../components/share-dialog";
import { WallBar } from "../components/wall-bar";
import { WallOverlay } from "../components/wall-overlay";
import { WallStage } from "../components/wall-stage";
import { ZoomButtons } from "../components/zoom-buttons";
import type { Camera } from "../lib/camera";
import { useApp, useText } from "../state/context";
import type { Entry, Findings } from "../state/entry";
import { go } from "../state/route";
import { useCorrections } from "./use-corrections";
import { useCovered } from "./use-covered";
import { useDrawing } from "./use-drawing";
import { useExports } from "./use-exports";
import { useNaturalSize } from "./use-natural-size";
import { usePhotoUrl } from "./use-photo-url";
import { useSelection } from "./use-selection";
import { useWall } from "./use-wall";
import { WallPanel } from "./wall-panel";

interface Properties {
  entry: Entry;
  photo: Blob | null;
  findings: Findings;
  mode: "explore" | "correct";
}

/** The photo with what lies on it, and the panel below or beside it. */
export function WallView({ entry, photo, findings, mode }: Properties): JSX.Element {
  const { analyses, notify } = useApp();
  const text = useText();
  const camera = useRef<Camera | null>(null);
  const [scale, setScale] = useState(1);
  const [dialog, setDialog] = useState<"share" | "remove" | null>(null);
  const { panel, covered } = useCovered();
  const wall = useWall(entry, findings);
  const [unreadable, setUnreadable] = useState<Blob | null>(null);
  // Such as a HEIC in most browsers: the server can read it, and holds are drawn on nothing.
  const photoUrl = usePhotoUrl(photo === unreadable ? null : photo);
  const size = useNaturalSize(photoUrl, wall ?? entry.size);
  const selection = useSelection(wall, camera, covered);
  const corrections = useCorrections(entry.id, entry.corrections, findings.result);
  const onDrawn = (contour: Parameters<typeof corrections.draw>[0]): void =>
    selection.select(corrections.draw(contour, selection.problem));
  const drawing = useDrawing(camera, size, onDrawn, (how) => notify(text.correct.unfit[how]));
  const exportAs = useExports(entry, photo, wall, findings);

  const done = entry.status === "done" && findings.result !== null;
  const erase = (): void => {
    go({ at: done ? "history" : "capture" });
    void analyses.erase(entry.id).then((how) => done && notify(text.remove[how]));
  };
  const keyed = (key: string): boolean => {
    if (key === "Escape" && drawing.active) drawing.setActive(false);
    else if (key === "Escape") selection.escape();
    else if (key.toLowerCase() === "n") selection.step(1);
    else if (key.toLowerCase() === "p") selection.step(-1);
    else return false;
    return true;
  };
  return (
    <main id="main" class={`wall-screen ${entry.status} ${drawing.active ? "drawing" : ""}`} tabIndex={-1}>
      <h1 class="unseen">{text.wall.photo}</h1>
      <WallBar
        text={text}
        done={done}
        correcting={mode === "correct"}
        onShare={() => setDialog("share")}
        onCorrect={() => go({ at: "wall", id: entry.id, mode: mode === "correct" ? "explore" : "correct" })}
        onRemove={() => setDialog("remove")}
      />
      <WallStage
        {...{ photoUrl, size, covered, camera }}
        label={text.wall.photo}
        keys={text.wall.keys}
        onTap={done ? selection.tap : () => undefined}
        onKey={keyed}
        onSettle={(at) => setScale(roughly(at))}
        onUnreadable={() => setUnreadable(photo)}
        onStroke={mode === "correct" && drawing.active ? drawing.stroke : undefined}
      >
        {wall !== null && (
          <WallOverlay
            {...{ wall, scale }}
            selected={selection.hold?.id ?? null}
            problem={selection.problem}
            marks={text.hold.tags}
          />
        )}
        {drawing.points.length > 0 && <DrawnStroke points={drawing.points} />}
      </WallStage>
      {photo !== null && photo === unreadable && <p class="no-preview">{text.progress.noPreview}</p>}
      <ZoomButtons text={text} camera={camera} bottom={covered} />
      <div class="panel" ref={panel}>
        <WallPanel
          {...{ entry, findings, wall, photoUrl, mode, selection, corrections, drawing }}
          onErase={erase}
        />
      </div>
      {dialog === "share" && <ShareDialog text={text} onExport={exportAs} onClose={() => setDialog(null)} />}
      {dialog === "remove" && <RemoveDialog text={text} onRemove={erase} onClose={() => setDialog(null)} />}
    </main>
  );
}

/** In steps of a fifth: what is drawn at each scale changes rarely, and drawing it anew is not free. */
function roughly(scale: number): number {
  return 1.2 ** Math.round(Math.log(scale) / Math.log(1.2));
}
