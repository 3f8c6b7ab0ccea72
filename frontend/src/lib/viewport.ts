import type { Point } from "../api/types";

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Where a photo can be seen: below a bar, above a panel. */
export interface Frame extends Size {
  readonly top: number;
}

/** How a photo lies on the screen: screen = photo * scale + (x, y). */
export interface View {
  readonly scale: number;
  readonly x: number;
  readonly y: number;
}

/** One photo pixel is never shown larger than this many CSS pixels. */
const LARGEST_PIXEL = 6;
const LEAST_ZOOM = 4;

/** The photo whole, in the middle. */
export function fit(photo: Size, frame: Frame): View {
  const scale = Math.min(frame.width / photo.width, frame.height / photo.height);
  return {
    scale,
    x: (frame.width - photo.width * scale) / 2,
    y: frame.top + (frame.height - photo.height * scale) / 2,
  };
}

/** From the whole photo to where its pixels show. */
export function limits(photo: Size, frame: Size): { least: number; most: number } {
  const least = Math.min(frame.width / photo.width, frame.height / photo.height);
  return { least, most: Math.max(LARGEST_PIXEL, least * LEAST_ZOOM) };
}

/** The nearest view that leaves no gap beside a photo larger than the frame, and centres a smaller one. */
export function contain(view: View, photo: Size, frame: Frame): View {
  const { least, most } = limits(photo, frame);
  const scale = clamp(view.scale, least, most);
  return {
    scale,
    x: place(view.x, photo.width * scale, frame.width),
    y: frame.top + place(view.y - frame.top, photo.height * scale, frame.height),
  };
}

function place(offset: number, length: number, room: number): number {
  return length <= room ? (room - length) / 2 : clamp(offset, room - length, 0);
}

export function toPhoto(view: View, [x, y]: Point): Point {
  return [(x - view.x) / view.scale, (y - view.y) / view.scale];
}

export function toScreen(view: View, [x, y]: Point): Point {
  return [x * view.scale + view.x, y * view.scale + view.y];
}

export function pan(view: View, dx: number, dy: number): View {
  return { ...view, x: view.x + dx, y: view.y + dy };
}

/** Zooms about a point of the screen: what is under it stays under it. */
export function zoomAt(view: View, [x, y]: Point, factor: number): View {
  return {
    scale: view.scale * factor,
    x: x - (x - view.x) * factor,
    y: y - (y - view.y) * factor,
  };
}

/** Two fingers: what was under each is under each, as far as without turning can be. */
export function pinch(view: View, from: readonly [Point, Point], to: readonly [Point, Point]): View {
  const before = Math.max(1, distance(...from));
  const zoomed = zoomAt(view, middle(...from), Math.max(1, distance(...to)) / before);
  const [fromX, fromY] = middle(...from);
  const [toX, toY] = middle(...to);
  return pan(zoomed, toX - fromX, toY - fromY);
}

/** Shows a box of the photo as large as `share` of the frame allows, but no closer than `most`. */
export function zoomTo(
  box: { left: number; top: number; right: number; bottom: number },
  photo: Size,
  frame: Frame,
  share = 0.5,
): View {
  const { least, most } = limits(photo, frame);
  const wanted =
    share * Math.min(frame.width / (box.right - box.left), frame.height / (box.bottom - box.top));
  const scale = clamp(wanted, least, Math.min(most, least * 6));
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  return contain(
    { scale, x: frame.width / 2 - x * scale, y: frame.top + frame.height / 2 - y * scale },
    photo,
    frame,
  );
}

/** A view on the way: `t` of 0..1. The scale grows by equal ratios, which the eye takes for even. */
export function between(from: View, to: View, t: number): View {
  if (from.scale === to.scale) {
    return { scale: to.scale, x: from.x + (to.x - from.x) * t, y: from.y + (to.y - from.y) * t };
  }
  const scale = from.scale * (to.scale / from.scale) ** t;
  const done = (scale - from.scale) / (to.scale - from.scale);
  return { scale, x: from.x + (to.x - from.x) * done, y: from.y + (to.y - from.y) * done };
}

export function distance([ax, ay]: Point, [bx, by]: Point): number {
  return Math.hypot(ax - bx, ay - by);
}

export function middle([ax, ay]: Point, [bx, by]: Point): Point {
  return [(ax + bx) / 2, (ay + by) / 2];
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
