import type { JSX } from "preact";
import { Icon, type IconName } from "./icon";

interface Properties {
  icon: IconName;
  label: string;
  /** Opens the camera at once, where the device has one. */
  camera?: boolean;
  primary?: boolean;
  onPhoto: (file: File) => void;
}

/** HEIC and AVIF are named: some phones offer them under no image type. */
const ACCEPT = "image/*,.heic,.heif,.avif";

export function PhotoInput({ icon, label, camera, primary, onPhoto }: Properties): JSX.Element {
  return (
    <label class={primary === true ? "button large primary" : "button large"}>
      <Icon name={icon} />
      <span>{label}</span>
      <input
        class="unseen"
        type="file"
        accept={ACCEPT}
        {...(camera === true && { capture: "environment" })}
        onChange={({ currentTarget }) => {
          const file = currentTarget.files?.[0];
          // The same photo chosen again is a change too.
          currentTarget.value = "";
          if (file !== undefined) onPhoto(file);
        }}
      />
    </label>
  );
}
