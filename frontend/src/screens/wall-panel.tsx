import type { JSX } from "preact";
import { CorrectPanel, type Delivery } from "../components/correct-panel";
import { ExplorePanel } from "../components/explore-panel";
import { FailurePanel } from "../components/failure-panel";
import { ProgressPanel } from "../components/progress-panel";
import type { Wall } from "../lib/corrections";
import { useApp, useSelect, useText } from "../state/context";
import type { Entry, Findings } from "../state/entry";
import { go } from "../state/route";
import type { Corrections } from "./use-corrections";
import type { Drawing } from "./use-drawing";
import { useKeepsCorrections } from "./use-keeps-corrections";
import type { Selection } from "./use-selection";

interface Properties {
  entry: Entry;
  findings: Findings;
  wall: Wall | null;
  photoUrl: string | null;
  mode: "explore" | "correct";
  selection: Selection;
  corrections: Corrections;
  drawing: Drawing;
  /** From correcting to looking, and back. */
  onTurn: () => void;
  /** Asks first. */
  onErase: () => void;
}

/** Below the photo: how it goes, what went wrong, what was found, or what to put right. */
export function WallPanel(properties: Properties): JSX.Element | null {
  const { entry, findings, wall, mode } = properties;
  if (entry.status === "failed") return <Failed {...properties} />;
  if (entry.status !== "done") return <Running {...properties} />;
  if (wall === null || findings.result === null) return null;
  if (mode === "correct") return <Correcting {...properties} wall={wall} />;
  return <Exploring {...properties} wall={wall} result={findings.result} />;
}

function Running({ entry, onErase }: Properties): JSX.Element {
  const { wakeUp } = useApp();
  const text = useText();
  const waiting = useSelect((state) => state.waiting[entry.id] ?? null);
  const online = useSelect((state) => state.online);
  return (
    <ProgressPanel
      {...{ waiting, online, text }}
      progress={entry.progress}
      arrived={entry.jobId !== null}
      onTryNow={wakeUp}
      onCancel={onErase}
    />
  );
}

function Failed({ entry }: Properties): JSX.Element {
  const { analyses, change } = useApp();
  const text = useText();
  const apiKey = useSelect((state) => state.settings.apiKey);
  return (
    <FailurePanel
      code={entry.failure?.code ?? "unexpected"}
      detail={entry.failure?.detail ?? ""}
      text={text}
      apiKey={apiKey}
      onRetry={() => analyses.retry(entry.id)}
      // This one stays in the history until somebody deletes it.
      onNewPhoto={() => go({ at: "capture" })}
      onKey={(key) => {
        change({ apiKey: key });
        analyses.retry(entry.id);
      }}
    />
  );
}

function Exploring(
  properties: Properties & { wall: Wall; result: NonNullable<Findings["result"]> },
): JSX.Element {
  const { wall, result, photoUrl, selection } = properties;
  return (
    <ExplorePanel
      {...{ wall, result, photoUrl }}
      hold={selection.hold}
      problem={selection.problem}
      text={useText()}
      onChoose={selection.choose}
      onStep={selection.step}
      onClose={() => selection.select(null)}
    />
  );
}

function Correcting(properties: Properties & { wall: Wall }): JSX.Element {
  const { entry, wall, photoUrl, selection, corrections, drawing, onTurn } = properties;
  const { corrector } = useApp();
  const keeps = useKeepsCorrections();
  const unkept = useSelect((state) => state.unkept.includes(entry.id));
  return (
    <CorrectPanel
      {...{ wall, photoUrl }}
      hold={selection.hold}
      text={useText()}
      timeline={corrections.timeline}
      delivery={unkept ? ["unkept"] : deliveryOf(entry)}
      share={keeps === true || entry.shared === true ? entry.share : null}
      onShare={(share) => corrector.change(entry.id, { share })}
      drawing={drawing.active}
      freeProblem={corrections.freeProblem}
      onCorrect={corrections.correct}
      onUndo={corrections.undo}
      onRedo={corrections.redo}
      onDraw={(active) => {
        selection.select(null);
        drawing.setActive(active);
      }}
      onDrawMiddle={drawing.putInMiddle}
      onDone={onTurn}
      onStep={selection.step}
      onClose={() => selection.select(null)}
    />
  );
}

/** That a permission was taken back matters more than that the rest is kept. */
function deliveryOf({ delivery, share, shared }: Entry): readonly Delivery[] {
  const withdrawing = shared === true && !share && delivery !== "sent";
  if (!withdrawing) return [delivery];
  return delivery === "locked" ? ["withdrawing", "locked"] : ["withdrawing"];
}
