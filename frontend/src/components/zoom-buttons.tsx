import type { JSX, RefObject } from "preact";
import type { Catalogue } from "../i18n";
import type { Camera } from "../lib/camera";
import { IconButton } from "./icon-button";

interface Properties {
  text: Catalogue;
  camera: RefObject<Camera | null>;
  /** CSS pixels at the bottom that a panel covers. */
  bottom: number;
}

/** For who has no two fingers free, or does not see the photo. */
export function ZoomButtons({ text, camera, bottom }: Properties): JSX.Element {
  return (
    <div class="zoom-buttons" style={{ bottom: `${bottom + 12}px` }}>
      <IconButton icon="plus" label={text.wall.zoomIn} onClick={() => camera.current?.zoomBy(1.6)} />
      <IconButton icon="minus" label={text.wall.zoomOut} onClick={() => camera.current?.zoomBy(1 / 1.6)} />
      <IconButton icon="fit" label={text.wall.zoomFit} onClick={() => camera.current?.showAll()} />
    </div>
  );
}
