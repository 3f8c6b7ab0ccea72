import type { JSX } from "preact";
import { Icon, type IconName } from "./icon";

interface Properties {
  icon: IconName;
  label: string;
  onClick: () => void;
  disabled?: boolean;
  pressed?: boolean;
  quiet?: boolean;
}

export function IconButton({ icon, label, onClick, disabled, pressed, quiet }: Properties): JSX.Element {
  return (
    <button
      type="button"
      class={quiet === true ? "icon-button quiet" : "icon-button"}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
