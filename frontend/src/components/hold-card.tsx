import type { ComponentChildren, JSX } from "preact";
import type { Catalogue } from "../i18n";
import type { SeenHold, Wall } from "../lib/corrections";
import { markOf } from "../i18n/marks";
import { places } from "../lib/order";
import { ColourBars } from "./colour-bars";
import { HoldCrop } from "./hold-crop";
import { IconButton } from "./icon-button";

interface Properties {
  hold: SeenHold;
  wall: Wall;
  photoUrl: string | null;
  text: Catalogue;
  onClose: () => void;
}

/** What is known of one hold. */
export function HoldCard({ hold, wall, photoUrl, text, onClose }: Properties): JSX.Element {
  const [left, top, right, bottom] = hold.bbox;
  const index = wall.problems.findIndex(({ id }) => id === hold.problemId);
  const name = text.hold.name(places(wall).get(hold.id));
  const percent = Math.round(hold.score * 100);
  return (
    <section class="hold-card" aria-label={name}>
      <div class="hold-head">
        <HoldCrop hold={hold} wall={wall} photoUrl={photoUrl} label={text.hold.crop(name)} />
        <div class="hold-title">
          <h2>
            {name} <span class="dim">{text.colours[hold.color]}</span>
          </h2>
          <p class="dim">{index < 0 ? text.wall.noProblem : text.problem.name(index + 1)}</p>
          {hold.tag !== null && <span class={`tag ${hold.tag}`}>{markOf(hold, text)}</span>}
        </div>
        <IconButton icon="close" label={text.hold.close} onClick={onClose} quiet />
      </div>
      <ColourBars scores={hold.color_scores} names={text.colours} />
      <dl class="facts">
        <Fact name={text.hold.kind}>{text.hold.kinds[hold.kind]}</Fact>
        <Fact name={text.hold.size}>
          {text.hold.sizeOf(Math.round(right - left), Math.round(bottom - top))}
        </Fact>
        <Fact name={text.hold.confidence}>{hold.drawn ? text.hold.drawn : `${percent} %`}</Fact>
      </dl>
    </section>
  );
}

function Fact({ name, children }: { name: string; children: ComponentChildren }): JSX.Element {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
