import type { JSX } from "preact";
import type { Memory } from "../api/types";
import type { Catalogue } from "../i18n";

interface Properties {
  memory: Memory;
  /** MiB, oldest first. */
  history: readonly number[];
  text: Catalogue;
}

const [WIDTH, HEIGHT] = [300, 84];

/** Memory against its limit: now, at its peak, and in the last minutes. */
export function MemoryChart({ memory, history, text }: Properties): JSX.Element {
  const { rss_mb: used, peak_mb: peak, limit_mb: limit } = memory;
  // On a machine with much memory the limit would flatten the line: then the peak sets the scale.
  const top = limit <= peak * 4 ? limit : peak * 1.25;
  const y = (mb: number): number => HEIGHT - (Math.min(mb, top) / top) * HEIGHT;
  const step = WIDTH / Math.max(1, history.length - 1);
  const shown = history.length === 1 ? [...history, ...history] : history;
  const line = shown.map((mb, index) => `${(index * step).toFixed(1)} ${y(mb).toFixed(1)}`).join("L");
  const label = text.status.chart(fixed(Math.min(...history)), fixed(Math.max(...history)));
  return (
    <section class="group">
      <div class="section-head">
        <h2>{text.status.memory}</h2>
        <span class="dim">{text.status.peak(fixed(peak))}</span>
      </div>
      <p class="figure">{text.status.memoryOf(fixed(used), fixed(limit))}</p>
      <svg
        class="chart"
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={label}
      >
        <path class="chart-area" d={`M0 ${HEIGHT}L${line}L${WIDTH} ${HEIGHT}Z`} />
        <path class="chart-peak" d={`M0 ${y(peak)}H${WIDTH}`} />
        <path class="chart-line" d={`M${line}`} />
      </svg>
      <meter min={0} max={limit} high={limit * 0.9} value={used} aria-label={text.status.memory} />
    </section>
  );
}

function fixed(mb: number): string {
  return mb >= 1000 ? mb.toFixed(0) : mb.toFixed(1);
}
