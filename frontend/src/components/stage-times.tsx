import type { JSX } from "preact";
import type { Catalogue } from "../i18n";

interface Properties {
  /** Milliseconds by stage; null where none is known. */
  timings: Readonly<Record<string, number>> | null;
  text: Catalogue;
}

export function StageTimes({ timings, text }: Properties): JSX.Element {
  const stages = Object.entries(timings ?? {});
  const longest = Math.max(1, ...stages.map(([, ms]) => ms));
  return (
    <section class="group">
      <h2>{text.status.stages}</h2>
      {stages.length === 0 && <p class="dim">{text.status.noStages}</p>}
      <ul class="times">
        {stages.map(([stage, ms]) => {
          const name = text.status.stageNames[stage] ?? stage;
          return (
            <li key={stage}>
              <span>{name}</span>
              <meter min={0} max={longest} value={ms} aria-label={name} />
              <span class="number dim">{text.status.ms(ms)}</span>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
