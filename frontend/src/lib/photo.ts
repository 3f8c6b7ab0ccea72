import { Failure } from "../api/failure";
import { sizeWithin } from "./photo-size";
import type { Size } from "./viewport";

/** A photo as it leaves the phone. */
export interface Prepared {
  readonly blob: Blob;
  /** Pixels, upright; null where this browser cannot read the file and it goes as it is. */
  readonly size: Size | null;
  readonly thumbnail: Blob | null;
}

const QUALITY = 0.88;
const THUMBNAIL_SIDE = 320;
/** The service reads these; a browser may not. */
const READ_BY_THE_SERVICE = [/^image\/hei[cf]/, /^image\/avif/, /\.(heic|heif|avif)$/i];

/**
 * Upright, smaller, and without its EXIF: a canvas keeps pixels and nothing else. A HEIC that this browser cannot
 * read goes as it is, since the service can.
 *
 * @throws Failure `not_an_image` or `photo_unreadable`; AbortError.
 */
export async function prepare(signal: AbortSignal, file: Blob): Promise<Prepared> {
  const picture = await decode(file);
  signal.throwIfAborted();
  if (picture === null) return unread(file);
  try {
    const size = sizeWithin(picture);
    const blob = await draw(picture, size, QUALITY);
    signal.throwIfAborted();
    const thumbnail = await draw(picture, sizeWithin(picture, THUMBNAIL_SIDE), 0.8);
    signal.throwIfAborted();
    return { blob, size, thumbnail };
  } finally {
    if (picture instanceof ImageBitmap) picture.close();
  }
}

function unread(file: Blob): Prepared {
  const name = file instanceof File ? file.name : "";
  if (READ_BY_THE_SERVICE.some((pattern) => pattern.test(file.type) || pattern.test(name))) {
    return { blob: file, size: null, thumbnail: null };
  }
  throw new Failure(file.type.startsWith("image/") ? "photo_unreadable" : "not_an_image");
}

/** null: this browser cannot. */
async function decode(file: Blob): Promise<ImageBitmap | HTMLImageElement | null> {
  try {
    return await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    return await decodeAsElement(file);
  }
}

/** Safari reads HEIC in an <img> where createImageBitmap refuses it. */
async function decodeAsElement(file: Blob): Promise<HTMLImageElement | null> {
  const image = new Image();
  const url = URL.createObjectURL(file);
  try {
    image.src = url;
    await image.decode();
    return image.naturalWidth > 0 ? image : null;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

async function draw(picture: CanvasImageSource, size: Size, quality: number): Promise<Blob> {
  const canvas = document.createElement("canvas");
  canvas.width = size.width;
  canvas.height = size.height;
  const context = canvas.getContext("2d", { alpha: false });
  if (context === null) throw new Failure("photo_unreadable");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, size.width, size.height);
  return await toBlob(canvas, "image/jpeg", quality);
}

export function toBlob(canvas: HTMLCanvasElement, type: string, quality?: number): Promise<Blob> {
  return new Promise((resolve, reject) => {
    canvas.toBlob(
      (blob) => {
        canvas.width = 0; // Safari frees a canvas's memory late unless told.
        if (blob === null) reject(new Failure("photo_unreadable"));
        else resolve(blob);
      },
      type,
      quality,
    );
  });
}
