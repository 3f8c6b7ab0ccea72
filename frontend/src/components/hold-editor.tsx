import type { JSX } from "preact";
import type { Kind, Tag } from "../api/types";
import type { Catalogue } from "../i18n";
import type { Correction, SeenHold, Wall } from "../lib/corrections";
import { places } from "../lib/order";
import { ColourPicker } from "./colour-picker";
import { HoldCrop } from "./hold-crop";
import { Icon } from "./icon";
import { IconButton } from "./icon-button";
import { ProblemPicker } from "./problem-picker";
import { Segmented } from "./segmented";

interface Properties {
  hold: SeenHold;
  wall: Wall;
  photoUrl: string | null;
  text: Catalogue;
  /** An id for a problem that is to be made. */
  freeProblem: number;
  onCorrect: (correction: Correction) => void;
  onClose: () => void;
}

/** Everything of a hold that a person may know better. */
export function HoldEditor(properties: Properties): JSX.Element {
  const { hold, wall, photoUrl, text, freeProblem, onCorrect, onClose } = properties;
  const hold_id = hold.id;
  const name = text.hold.name(places(wall).get(hold_id));
  const kinds: Kind[] = ["hold", "volume"];
  const tags: (Tag | "none")[] = ["none", "start", "top"];
  return (
    <section class="hold-editor" aria-label={name}>
      <div class="hold-head">
        <HoldCrop hold={hold} wall={wall} photoUrl={photoUrl} label={text.hold.crop(name)} />
        <div class="hold-title">
          <h2>{name}</h2>
          <p class="dim">{hold.drawn ? text.hold.drawn : text.colours[hold.color]}</p>
        </div>
        <IconButton icon="close" label={text.hold.close} onClick={onClose} quiet />
      </div>
      <ColourPicker
        label={text.hold.colour}
        names={text.colours}
        value={hold.color}
        onChange={(color) => onCorrect({ op: "set_color", hold_id, color })}
      />
      <ProblemPicker
        problems={wall.problems}
        value={hold.problemId}
        free={freeProblem}
        text={text}
        onChange={(problem_id) => onCorrect({ op: "set_problem", hold_id, problem_id })}
      />
      <Segmented
        label={text.hold.kind}
        options={kinds.map((value) => ({ value, label: text.hold.kinds[value] }))}
        value={hold.kind}
        onChange={(kind) => onCorrect({ op: "set_kind", hold_id, kind })}
      />
      {hold.problemId !== null && (
        <Segmented
          label={text.hold.marks}
          options={tags.map((value) => ({ value, label: text.hold.tags[value] }))}
          value={hold.tag ?? "none"}
          onChange={(tag) => onCorrect({ op: "set_tag", hold_id, tag: tag === "none" ? null : tag })}
        />
      )}
      <button type="button" class="button danger" onClick={() => onCorrect({ op: "delete", hold_id })}>
        <Icon name="trash" size={20} />
        {text.correct.remove}
      </button>
    </section>
  );
}
