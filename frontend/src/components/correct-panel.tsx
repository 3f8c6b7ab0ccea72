import type { JSX } from "preact";
import type { Catalogue } from "../i18n";
import type { Correction, SeenHold, Wall } from "../lib/corrections";
import type { Timeline } from "../lib/timeline";
import { HoldEditor } from "./hold-editor";
import { Icon } from "./icon";
import { IconButton } from "./icon-button";

export type Delivery = keyof Catalogue["correct"]["delivery"];

interface Properties {
  wall: Wall;
  hold: SeenHold | null;
  photoUrl: string | null;
  text: Catalogue;
  timeline: Timeline<Correction>;
  /** Where the changes are by now. */
  delivery: readonly Delivery[];
  /** Whether the photo may be trained on; null where this server keeps none. */
  share: boolean | null;
  drawing: boolean;
  /** An id for a problem that is to be made. */
  freeProblem: number;
  onCorrect: (correction: Correction) => void;
  onShare: (share: boolean) => void;
  onUndo: () => void;
  onRedo: () => void;
  onDraw: (drawing: boolean) => void;
  onDrawMiddle: () => void;
  onDone: () => void;
  onStep: (by: 1 | -1) => void;
  onClose: () => void;
}

/** Puts right what the machine got wrong. */
export function CorrectPanel(properties: Properties): JSX.Element {
  const { wall, text, timeline, hold, drawing, onUndo, onRedo, onDone, onStep, delivery } = properties;
  const stuck = drawing || wall.holds.length === 0;
  const changes = timeline.done.length;
  const said = changes > 0 ? [text.correct.changes(changes)] : [];
  // With nothing changed there is still the box about training, which a server may have refused.
  if (changes > 0 || !delivery.includes("sent"))
    said.push(...delivery.map((how) => text.correct.delivery[how]));
  return (
    <>
      <div class="correct-bar">
        <IconButton icon="undo" label={text.correct.undo} onClick={onUndo} disabled={changes === 0} />
        <IconButton
          icon="redo"
          label={text.correct.redo}
          onClick={onRedo}
          disabled={timeline.undone.length === 0}
        />
        <IconButton icon="back" label={text.hold.previous} onClick={() => onStep(-1)} disabled={stuck} />
        <IconButton icon="chevron" label={text.hold.next} onClick={() => onStep(1)} disabled={stuck} />
        <button type="button" class="button primary small" onClick={onDone}>
          {text.common.done}
        </button>
        <p class="dim" role="status">
          {said.join(" · ")}
        </p>
      </div>
      {hold !== null && !drawing ? <HoldEditor {...properties} hold={hold} /> : <Drawing {...properties} />}
    </>
  );
}

function Drawing({ text, drawing, share, onDraw, onDrawMiddle, onShare }: Properties): JSX.Element {
  return (
    <div class="draw-panel">
      <p class="dim">{drawing ? text.correct.drawing : text.correct.hint}</p>
      <div class="button-row">
        {drawing && (
          <button type="button" class="button" onClick={onDrawMiddle}>
            {text.correct.drawMiddle}
          </button>
        )}
        <button type="button" class="button" aria-pressed={drawing} onClick={() => onDraw(!drawing)}>
          <Icon name="lasso" size={20} />
          {drawing ? text.correct.stopDrawing : text.correct.draw}
        </button>
      </div>
      {share !== null && (
        <label class="consent">
          <input
            type="checkbox"
            checked={share}
            onChange={({ currentTarget }) => onShare(currentTarget.checked)}
          />
          <span>{text.correct.share}</span>
        </label>
      )}
    </div>
  );
}
