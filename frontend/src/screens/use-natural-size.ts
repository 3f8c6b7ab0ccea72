import { useEffect, useState } from "preact/hooks";
import type { Size } from "../lib/viewport";

/** The photo's size: as known, else as the browser finds it; some shape until then. */
export function useNaturalSize(photoUrl: string | null, known: Size | null): Size {
  const [found, setFound] = useState<Size>({ width: 3, height: 4 });
  const [width, height] = [known?.width ?? found.width, known?.height ?? found.height];
  useEffect(() => {
    if (known !== null || photoUrl === null) return;
    const image = new Image();
    image.onload = () => setFound({ width: image.naturalWidth, height: image.naturalHeight });
    image.src = photoUrl;
    return () => {
      image.onload = null;
    };
  }, [photoUrl, known]);
  return { width, height };
}
