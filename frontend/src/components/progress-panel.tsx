import type { JSX } from "preact";
import { type Catalogue, sentenceOf } from "../i18n";
import { type Progress, type Stage, STAGES, standing } from "../lib/progress";
import { StageRow } from "./stage-row";
import { WaitingLine } from "./waiting-line";

interface Properties {
  progress: Progress;
  waiting: { readonly code: string; readonly until: number; readonly notBefore: number } | null;
  /** The service has the photo. */
  arrived: boolean;
  online: boolean;
  text: Catalogue;
  onTryNow: () => void;
  onCancel: () => void;
}

/** An analysis as it goes: stages that light up, and a bar that never goes back. */
export function ProgressPanel({
  progress,
  waiting,
  arrived,
  online,
  text,
  onTryNow,
  onCancel,
}: Properties): JSX.Element {
  const code = waiting === null ? null : online ? waiting.code : arrived ? "offline_sent" : "offline";
  const waits = code === null ? null : sentenceOf(text, code, "");
  const percent = Math.round(progress.percent);
  return (
    <section class="progress-panel" aria-labelledby="progress-title">
      <div class="progress-head">
        <h2 id="progress-title">{text.progress.title}</h2>
        <span class="number dim" aria-hidden="true">
          {percent} %
        </span>
      </div>
      <progress
        max={100}
        value={percent}
        aria-label={text.progress.label}
        aria-valuetext={text.progress.percent(percent)}
      />
      <p class="unseen" role="status">
        {waits === null ? said(progress, text) : `${waits.what}. ${waits.next}`}
      </p>
      {waiting !== null && code !== null && (
        <WaitingLine {...waiting} code={code} text={text} onTryNow={onTryNow} />
      )}
      <ol class="stages">
        {STAGES.map((stage) => (
          <StageRow
            key={stage}
            standing={standing(stage, progress)}
            name={text.progress.stages[stage]}
            detail={detail(stage, progress, text)}
          />
        ))}
      </ol>
      <p class="note">{arrived ? text.progress.safe : text.progress.stay}</p>
      <button type="button" class="button" onClick={onCancel}>
        {text.progress.cancel}
      </button>
    </section>
  );
}

/** For who does not see the bar: the stage and its count, not every percent. */
function said(progress: Progress, text: Catalogue): string {
  const counted = detail(progress.stage, progress, text);
  return [text.progress.stages[progress.stage], progress.stage === "name" ? null : counted]
    .filter((part) => part !== null)
    .join(": ");
}

function detail(stage: Stage, progress: Progress, text: Catalogue): string | null {
  const { position, found, kept, truncated, named, problems } = progress;
  switch (stage) {
    case "wait":
      return progress.stage === "wait" && position !== null ? text.progress.ahead(position) : null;
    case "find":
      if (found === null || kept === null) return null;
      return truncated ? text.progress.foundKept(found, kept) : text.progress.found(found);
    case "name":
      return named === null || kept === null ? null : text.progress.named(named, kept);
    case "grade":
      return problems === null ? null : text.progress.grouped(problems);
    default:
      return null;
  }
}
