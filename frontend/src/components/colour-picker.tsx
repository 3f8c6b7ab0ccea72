import type { JSX } from "preact";
import { useId } from "preact/hooks";
import type { Colour } from "../api/types";
import { COLOURS } from "../lib/colours";
import { Swatch } from "./swatch";

interface Properties {
  label: string;
  names: Readonly<Record<Colour, string>>;
  value: Colour;
  onChange: (colour: Colour) => void;
}

/** Every colour with its name: nobody has to see it to choose it. */
export function ColourPicker({ label, names, value, onChange }: Properties): JSX.Element {
  const name = useId();
  return (
    <fieldset class="colour-picker">
      <legend>{label}</legend>
      <div class="colour-grid">
        {COLOURS.map((colour) => (
          <label key={colour}>
            <input type="radio" name={name} checked={colour === value} onChange={() => onChange(colour)} />
            <span>
              <Swatch colour={colour} size={30} />
              {names[colour]}
            </span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
