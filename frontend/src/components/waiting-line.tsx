import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Catalogue, sentenceOf } from "../i18n";
import { Icon } from "./icon";

interface Properties {
  code: string;
  until: number;
  /** Date.now() before which the service wants to hear nothing. */
  notBefore: number;
  text: Catalogue;
  onTryNow: () => void;
}

/** Why nothing moves at the moment, and when it will be tried again. */
export function WaitingLine({ code, until, notBefore, text, onTryNow }: Properties): JSX.Element {
  const now = useClock();
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  const { what, next } = sentenceOf(text, code, "");
  return (
    <div class="waiting-line">
      <Icon name={code === "queue_full" || code === "not_ready" ? "history" : "cloud"} />
      <div>
        <strong>{what}</strong>
        <p class="dim">{next}</p>
        {/* Counted for the eye alone: a screen reader would say every second. */}
        <p class="dim number" aria-hidden="true">
          {text.progress.waiting(seconds)}
        </p>
      </div>
      <button type="button" class="button small" onClick={onTryNow} disabled={now < notBefore}>
        {text.common.tryNow}
      </button>
    </div>
  );
}

function useClock(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return now;
}
