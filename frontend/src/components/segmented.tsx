import type { JSX } from "preact";
import { useId } from "preact/hooks";

interface Properties<T extends string> {
  label: string;
  options: readonly { readonly value: T; readonly label: string }[];
  value: T;
  onChange: (value: T) => void;
  /** The label is there for screen readers alone. */
  bare?: boolean;
}

/** One of a few, side by side: radio buttons, so that keys and screen readers know what to do. */
export function Segmented<T extends string>(properties: Properties<T>): JSX.Element {
  const { label, options, value, onChange, bare } = properties;
  const name = useId();
  return (
    <fieldset class="segmented">
      <legend class={bare === true ? "unseen" : undefined}>{label}</legend>
      <div class="segments">
        {options.map((option) => (
          <label key={option.value}>
            <input
              type="radio"
              name={name}
              checked={option.value === value}
              onChange={() => onChange(option.value)}
            />
            <span>{option.label}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}
