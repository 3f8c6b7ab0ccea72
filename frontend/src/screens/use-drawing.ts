import type { RefObject } from "preact";
import { useRef, useState } from "preact/hooks";
import type { Point } from "../api/types";
import type { Camera } from "../lib/camera";
import { simplify } from "../lib/geometry";
import type { Meaning } from "../lib/gestures";
import { unfit } from "../lib/outline";
import type { Size } from "../lib/viewport";

export interface Drawing {
  readonly active: boolean;
  readonly points: readonly Point[];
  setActive: (active: boolean) => void;
  stroke: NonNullable<Meaning["stroke"]>;
  /** A round one in the middle of the view: for who has no finger to draw with. */
  putInMiddle: () => void;
}

const CORNERS = 16;
/** The service takes no longer outline. */
const MOST_POINTS = 200;

/** A finger that draws around a hold. */
export function useDrawing(
  camera: RefObject<Camera | null>,
  size: Size,
  onDrawn: (contour: readonly Point[]) => void,
  onUnfit: (how: "small" | "large") => void,
): Drawing {
  const [active, setActive] = useState(false);
  const [points, setPoints] = useState<readonly Point[]>([]);
  // The stroke outruns rendering: its points are collected here.
  const stroke = useRef<Point[]>([]);

  const onPhoto = ([x, y]: Point): Point => [within(x, size.width), within(y, size.height)];
  const finish = (contour: readonly Point[]): void => {
    const how = unfit(contour, camera.current?.view.scale ?? 1, size);
    if (how !== null) {
      onUnfit(how);
      return;
    }
    setActive(false);
    onDrawn(contour);
  };
  return {
    active,
    points,
    setActive: (next) => {
      setActive(next);
      setPoints([]);
    },
    stroke: (point, phase) => {
      if (!active) return false;
      if (phase === "begin") stroke.current = [];
      if (phase === "begin" || phase === "on") stroke.current.push(onPhoto(point));
      if (phase === "end") finish(smooth(stroke.current, camera.current?.view.scale ?? 1));
      setPoints(phase === "begin" || phase === "on" ? [...stroke.current] : []);
      return true;
    },
    putInMiddle: () => {
      const [centre, scale] = [camera.current?.centre(), camera.current?.view.scale ?? 1];
      const [x, y] = (centre && camera.current?.toPhoto(centre)) ?? [size.width / 2, size.height / 2];
      const radius = 28 / scale;
      const turns = Array.from({ length: CORNERS }, (_unused, index) => (2 * Math.PI * index) / CORNERS);
      finish(turns.map((turn) => onPhoto([x + radius * Math.cos(turn), y + radius * Math.sin(turn)])));
    },
  };
}

/** Inside the photo, to a tenth of a pixel: more digits are only longer to send. */
function within(value: number, most: number): number {
  return Math.min(most, Math.max(0, Math.round(value * 10) / 10));
}

/** No more points than the eye can tell apart on this screen, and than the service takes. */
function smooth(points: readonly Point[], scale: number): Point[] {
  let tolerance = 1 / scale;
  let simple = simplify(points, tolerance);
  while (simple.length > MOST_POINTS) {
    tolerance *= 2;
    simple = simplify(points, tolerance);
  }
  return simple;
}
