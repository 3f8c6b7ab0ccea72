import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { DrawnStroke } from "../components/drawn-stroke";
import { RemoveDialog } from "../components/remove-dialog";
import { ShareDialog } from "../components/share-dialog";
import { WallBar } from "../components/wall-bar";
import { WallOverlay } from "../components/wall-overlay";
import { WallStage } from "../components/wall-stage";
import { ZoomButtons } from "../components/zoom-buttons";
import type { Catalogue } from "../i18n";
import type { Camera } from "../lib/camera";
import type { Wall } from "../lib/corrections";
import { markOf } from "../i18n/marks";
import { places } from "../lib/order";
import { useApp, useText } from "../state/context";
import type { Entry, Findings } from "../state/entry";
import { go } from "../state/route";
import { useCorrections } from "./use-corrections";
import { useCovered } from "./use-covered";
import { type OpenDialog, useDialog } from "./use-dialog";
import { useDrawing } from "./use-drawing";
import { useExports } from "./use-exports";
import { useKeptFocus } from "./use-kept-focus";
import { useNaturalSize } from "./use-natural-size";
import { usePhotoUrl } from "./use-photo-url";
import { type Selection, useSelection } from "./use-selection";
import { useTurn } from "./use-turn";
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
  const [dialog, setDialog] = useDialog(mode);
  const { panel, covered } = useCovered();
  const turn = useTurn(entry.id, mode);
  useKeptFocus(panel);
  const wall = useWall(entry, findings);
  const [unreadable, setUnreadable] = useState<Blob | null>(null);
  // Such as a HEIC in most browsers: the server can read it, and holds are drawn on nothing.
  const photoUrl = usePhotoUrl(photo === unreadable ? null : photo);
  const size = useNaturalSize(photoUrl, wall ?? entry.size);
  const selection = useSelection(wall, camera, covered);
  const chosen = selection.hold?.id;
  // What is told of another hold begins at its name.
  useEffect(() => panel.current?.scrollTo(0, 0), [panel, chosen]);
  const corrections = useCorrections(entry, findings.result, wall);
  const onDrawn = (contour: Parameters<typeof corrections.draw>[0]): void =>
    selection.select(corrections.draw(contour, selection.problem));
  const drawing = useDrawing(camera, size, onDrawn, (how) => notify(text.correct.unfit[how]));
  const exportAs = useExports(entry, photo, wall, findings);

  const done = entry.status === "done" && findings.result !== null;
  const erase = (): void => {
    go({ at: done ? "history" : "capture" });
    void analyses.erase(entry.id).then((how) => (done || how === "stuck") && notify(text.remove[how]));
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
        failed={entry.status === "failed"}
        correcting={mode === "correct"}
        onShare={() => setDialog("share")}
        onCorrect={turn}
        onRemove={() => setDialog("remove")}
      />
      <WallStage
        {...{ photoUrl, size, covered, camera }}
        label={text.wall.photo}
        keys={text.wall.keys}
        onTap={done ? selection.tap : () => undefined}
        onUntap={selection.untap}
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
      <NoPreview of={photo} unreadable={unreadable} done={done} />
      <ZoomButtons text={text} camera={camera} bottom={covered} />
      <p class="unseen" role="status">
        {said(done ? wall : null, selection, text)}
      </p>
      <div class="panel" ref={panel} tabIndex={-1}>
        <WallPanel
          {...{ entry, findings, wall, photoUrl, mode, selection, corrections, drawing }}
          onTurn={turn}
          onErase={() => setDialog("remove")}
        />
      </div>
      <Dialogs
        open={dialog}
        hasPhoto={photoUrl !== null}
        text={text}
        onExport={exportAs}
        onRemove={erase}
        onClose={() => setDialog(null)}
      />
    </main>
  );
}

interface NoPreviewProperties {
  of: Blob | null;
  unreadable: Blob | null;
  done: boolean;
}

/** In the photo's place, where this browser cannot show it. */
function NoPreview({ of: photo, unreadable, done }: NoPreviewProperties): JSX.Element | null {
  const text = useText();
  if (photo === null || photo !== unreadable) return null;
  return <p class="no-preview">{done ? text.wall.noPreview : text.progress.noPreview}</p>;
}

interface DialogsProperties {
  open: OpenDialog;
  hasPhoto: boolean;
  text: Catalogue;
  onExport: ReturnType<typeof useExports>;
  onRemove: () => void;
  onClose: () => void;
}

function Dialogs({
  open,
  hasPhoto,
  text,
  onExport,
  onRemove,
  onClose,
}: DialogsProperties): JSX.Element | null {
  if (open === "share") return <ShareDialog {...{ hasPhoto, text, onExport, onClose }} />;
  if (open === "remove") return <RemoveDialog {...{ text, onRemove, onClose }} />;
  return null;
}

/** What was chosen, for who does not see it: cards come and go, and what comes with its words is not read out. */
function said(wall: Wall | null, { hold, problem }: Selection, text: Catalogue): string {
  if (wall === null) return "";
  const place = wall.problems.findIndex(({ id }) => id === (hold === null ? problem : hold.problemId));
  const group = wall.problems[place];
  const number = group === undefined ? [] : [text.problem.name(place + 1)];
  if (hold !== null) {
    const mark = markOf(hold, text);
    const tag = mark === null ? [] : [mark];
    return [text.hold.name(places(wall).get(hold.id)), text.colours[hold.color], ...number, ...tag].join(
      ", ",
    );
  }
  if (group === undefined) return "";
  const grade = group.made ? text.problem.made : (group.difficulty?.grade ?? text.problem.tooFew);
  return [...number, text.colours[group.color_name], text.common.holds(group.hold_count), grade].join(", ");
}

/** In steps of a fifth: what is drawn at each scale changes rarely, and drawing it anew is not free. */
function roughly(scale: number): number {
  return 1.2 ** Math.round(Math.log(scale) / Math.log(1.2));
}
