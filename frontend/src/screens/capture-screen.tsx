import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { WallAngle } from "../api/types";
import { HoldShapes } from "../components/hold-shapes";
import { PhotoInput } from "../components/photo-input";
import { Segmented } from "../components/segmented";
import { useApp, useSelect, useText } from "../state/context";
import { go } from "../state/route";
import { useKeepsCorrections } from "./use-keeps-corrections";
import { useOfferedPhotos } from "./use-offered-photos";
import { WallTile } from "./wall-tile";

const ANGLES = ["none", "slab", "face", "overhang"] as const;
const MOST_RECENT = 6;

/** A photo, from wherever it is. */
export function CaptureScreen(): JSX.Element {
  const { analyses } = useApp();
  const text = useText();
  const entries = useSelect((state) => state.entries);
  const keeps = useKeepsCorrections();
  const [angle, setAngle] = useState<WallAngle | "none">("none");
  const take = (file: File): void => {
    go({ at: "wall", id: analyses.begin(file, angle === "none" ? null : angle), mode: "explore" });
  };
  const dragging = useOfferedPhotos(take);
  const recent = (entries ?? []).slice(0, MOST_RECENT);
  return (
    <main id="main" class={`screen capture ${dragging ? "dragging" : ""}`} tabIndex={-1}>
      <header class="capture-head">
        <p class="wordmark">{text.appName}</p>
        <h1>{text.capture.title}</h1>
        <p class="dim">{text.capture.lead}</p>
      </header>
      <section class="capture-card">
        {dragging ? <p class="drop-here">{text.capture.drop}</p> : <HoldShapes />}
        <PhotoInput icon="camera" label={text.capture.camera} camera primary onPhoto={take} />
        <PhotoInput icon="photo" label={text.capture.library} onPhoto={take} />
        <p class="note pointer-only">{text.capture.dropHint}</p>
      </section>
      <Segmented
        label={text.capture.angle}
        options={ANGLES.map((value) => ({ value, label: text.capture.angles[value] }))}
        value={angle}
        onChange={setAngle}
      />
      {recent.length > 0 && (
        <section class="recent" aria-labelledby="recent">
          <div class="section-head">
            <h2 id="recent">{text.capture.recent}</h2>
            <a href="#/history">{text.capture.all}</a>
          </div>
          <ul class="strip">
            {recent.map((entry) => (
              <li key={entry.id}>
                <WallTile entry={entry} />
              </li>
            ))}
          </ul>
        </section>
      )}
      <p class="note">
        {text.capture.privacy} {text.capture.afterwards[afterwards(keeps)]}
      </p>
    </main>
  );
}

/** What the server does with the photo. Nothing is promised that it did not say. */
function afterwards(keeps: boolean | null): "copied" | "forgotten" | "unknown" {
  if (keeps === null) return "unknown";
  return keeps ? "copied" : "forgotten";
}
