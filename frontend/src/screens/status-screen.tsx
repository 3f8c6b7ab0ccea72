import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { getHealth } from "../api/client";
import { type Failure, isAbort, toFailure } from "../api/failure";
import type { Health } from "../api/types";
import { Icon } from "../components/icon";
import { MemoryChart } from "../components/memory-chart";
import { StageTimes } from "../components/stage-times";
import { sentenceOf } from "../i18n";
import { pause } from "../lib/backoff";
import { identityOf } from "../state/app";
import { useApp, useText } from "../state/context";

const EVERY_MS = 2000;
const KEPT_SAMPLES = 90;

/** How the server is, for its owner. */
export function StatusScreen(): JSX.Element {
  const text = useText();
  const { health, failure, history } = useHealth();
  const sentence = sentenceOf(text, failure?.code ?? "unreachable", failure?.detail ?? "");
  return (
    <main id="main" class="screen status" tabIndex={-1}>
      <header class="title-row">
        <a class="icon-button quiet" href="#/settings" aria-label={text.common.back}>
          <Icon name="back" />
        </a>
        <h1>{text.status.title}</h1>
      </header>
      {failure !== null && (
        <section class="group" role="status">
          <h2>{failure.status === 0 ? text.status.unreachable : sentence.what}</h2>
          {failure.status !== 0 && <p class="dim">{sentence.next}</p>}
        </section>
      )}
      {health !== null && failure === null && (
        <>
          <section class={`group state ${health.status}`}>
            <h2>{text.status.states[health.status]}</h2>
            {/* For the log's reader, and in its language. */}
            {health.error_reason !== null && <p lang="en">{health.error_reason}</p>}
            <p class="dim">
              {`${text.settings.version(health.version)} · ${text.status.uptime(health.uptime_s / 60)}`}
            </p>
          </section>
          <MemoryChart memory={health.memory} history={history} text={text} />
          <section class="group">
            <h2>{text.status.queue}</h2>
            <p class="figure">
              {health.queue.running + health.queue.waiting === 0
                ? text.status.idle
                : text.status.busy(health.queue.running, health.queue.waiting)}
            </p>
          </section>
          <section class="group">
            <h2>{text.status.models}</h2>
            {health.models.length === 0 && <p class="dim">{text.status.noModels}</p>}
            <ul class="models">
              {health.models.map((model) => (
                <li key={model.name}>
                  <strong>{model.name}</strong>
                  <span class="dim">
                    {model.source} · {model.precision} · {model.sha256.slice(0, 8)}
                  </span>
                </li>
              ))}
            </ul>
          </section>
          <StageTimes timings={health.timings_ms} text={text} />
        </>
      )}
    </main>
  );
}

/** Asked every two seconds while somebody looks. */
function useHealth(): { health: Health | null; failure: Failure | null; history: readonly number[] } {
  const { store } = useApp();
  const [health, setHealth] = useState<Health | null>(null);
  const [failure, setFailure] = useState<Failure | null>(null);
  const [history, setHistory] = useState<readonly number[]>([]);
  useEffect(() => {
    const control = new AbortController();
    const watch = async (): Promise<void> => {
      for (;;) {
        let wait = EVERY_MS;
        try {
          const next = await getHealth(control.signal, identityOf(store.get()));
          setHealth(next);
          setFailure(null);
          setHistory((before) => [...before, next.memory.rss_mb].slice(-KEPT_SAMPLES));
        } catch (error) {
          if (isAbort(error)) throw error;
          const failed = toFailure(error);
          setFailure(failed);
          wait = Math.max(wait, (failed.retryAfter ?? 0) * 1000);
        }
        await pause(control.signal, wait);
        await visible(control.signal);
      }
    };
    watch().catch(() => undefined);
    return () => control.abort();
  }, [store]);
  return { health, failure, history };
}

/** Resolves while somebody looks. */
function visible(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (document.visibilityState !== "visible") return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look, { signal });
    look();
  });
}
