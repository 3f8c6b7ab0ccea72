import { inkOn, luminance, PAINT } from "./colours";
import type { SeenHold, Wall } from "./corrections";
import { toBlob } from "./photo";
import { sizeWithin } from "./photo-size";
import { dashOf } from "./patterns";

export interface Labels {
  readonly start: string;
  readonly top: string;
}

const LONGEST_SIDE = 3200;

/** The photo with its holds drawn on it, as people send it to each other. */
export async function drawPicture(
  signal: AbortSignal,
  photo: Blob | null,
  wall: Wall,
  labels: Labels,
): Promise<Blob> {
  const size = sizeWithin(wall, LONGEST_SIDE);
  const canvas = document.createElement("canvas");
  canvas.width = size.width;
  canvas.height = size.height;
  const context = canvas.getContext("2d", { alpha: false });
  if (context === null) throw new Error("this browser has no canvas");
  const bitmap = photo === null ? null : await createImageBitmap(photo).catch(() => null);
  signal.throwIfAborted();
  // Where the browser cannot read the photo, outlines lie on a wall's grey: on black half of them would vanish.
  context.fillStyle = "#b9b5ad";
  context.fillRect(0, 0, size.width, size.height);
  if (bitmap !== null) context.drawImage(bitmap, 0, 0, size.width, size.height);
  bitmap?.close();
  const scale = size.width / wall.width;
  const pen = Math.max(2, Math.max(size.width, size.height) / 450);
  for (const hold of wall.holds) outline(context, hold, wall, scale, pen);
  for (const hold of wall.holds) label(context, hold, wall, scale, pen, labels);
  return await toBlob(canvas, "image/png");
}

/** The photo alone, in the pixels that the result and its annotations speak of. */
export async function drawPhoto(signal: AbortSignal, photo: Blob, wall: Wall): Promise<Blob> {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [wall.width, wall.height];
  const context = canvas.getContext("2d", { alpha: false });
  if (context === null) throw new Error("this browser has no canvas");
  const bitmap = await createImageBitmap(photo);
  signal.throwIfAborted();
  context.drawImage(bitmap, 0, 0, wall.width, wall.height);
  bitmap.close();
  return await toBlob(canvas, "image/jpeg", 0.92);
}

function outline(
  context: CanvasRenderingContext2D,
  hold: SeenHold,
  wall: Wall,
  scale: number,
  pen: number,
): void {
  const paint = PAINT[hold.color];
  const path = new Path2D();
  for (const [x, y] of hold.contour) path.lineTo(x * scale, y * scale);
  path.closePath();
  context.lineJoin = "round";
  context.setLineDash([]);
  context.lineWidth = pen * 2;
  context.strokeStyle = luminance(paint) < 0.06 ? "#ffffffcc" : "#0b0c0dcc";
  context.stroke(path);
  const index = wall.problems.findIndex(({ id }) => id === hold.problemId);
  const dashes = index < 0 ? `${pen} ${pen * 2}` : dashOf(index, pen);
  context.setLineDash(dashes === undefined ? [] : dashes.split(" ").map(Number));
  context.lineWidth = pen;
  context.strokeStyle = paint;
  context.stroke(path);
}

/** Around (x, y). Of arcs: roundRect is missing in Safari before 16 and Firefox before 112. */
export function pill(
  context: Pick<CanvasRenderingContext2D, "arc" | "closePath">,
  x: number,
  y: number,
  width: number,
  height: number,
): void {
  const reach = (width - height) / 2;
  context.arc(x - reach, y, height / 2, Math.PI / 2, (3 * Math.PI) / 2);
  context.arc(x + reach, y, height / 2, (3 * Math.PI) / 2, Math.PI / 2);
  context.closePath();
}

function label(
  context: CanvasRenderingContext2D,
  hold: SeenHold,
  wall: Wall,
  scale: number,
  pen: number,
  labels: Labels,
): void {
  const index = wall.problems.findIndex(({ id }) => id === hold.problemId);
  if (index < 0 && hold.tag === null) return;
  const number = index < 0 ? "" : String(index + 1);
  const mark = hold.tag === null ? "" : labels[hold.tag] + (hold.estimated ? "?" : "");
  const words = `${number} ${mark}`.trim();
  const height = pen * 6.5;
  const [x, y] = [hold.center[0] * scale, hold.center[1] * scale];
  context.font = `600 ${height * 0.62}px system-ui, sans-serif`;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const width = Math.max(height, context.measureText(words).width + height * 0.8);
  const paint = PAINT[hold.color];
  context.setLineDash([]);
  context.beginPath();
  pill(context, x, y, width, height);
  context.fillStyle = paint;
  context.fill();
  context.lineWidth = Math.max(1, pen / 2);
  context.strokeStyle = inkOn(paint);
  context.stroke();
  context.fillStyle = inkOn(paint);
  context.fillText(words, x, y + height * 0.04);
}
