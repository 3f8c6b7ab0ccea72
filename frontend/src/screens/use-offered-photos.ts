import { useEffect, useState } from "preact/hooks";

/** Photos that are dropped on the page or pasted into it; null: another screen takes them. Whether one hangs over it. */
export function useOfferedPhotos(take: ((file: File) => void) | null): boolean {
  const [dragging, setDragging] = useState(false);
  useEffect(() => {
    if (take === null) return;
    // Text that is dragged into a field is the field's.
    const isFile = ({ dataTransfer }: DragEvent): boolean => dataTransfer?.types.includes("Files") ?? false;
    const over = (event: DragEvent): void => {
      if (!isFile(event)) return;
      event.preventDefault();
      setDragging(true);
    };
    const leave = (event: DragEvent): void => {
      if (event.relatedTarget === null) setDragging(false);
    };
    const drop = (event: DragEvent): void => {
      if (!isFile(event)) return;
      event.preventDefault();
      setDragging(false);
      offer(event.dataTransfer);
    };
    const paste = (event: ClipboardEvent): void => offer(event.clipboardData);
    const offer = (data: DataTransfer | null): void => {
      const file = data?.files[0];
      if (file !== undefined) take(file);
    };
    addEventListener("dragover", over);
    addEventListener("dragleave", leave);
    addEventListener("drop", drop);
    addEventListener("paste", paste);
    return () => {
      removeEventListener("dragover", over);
      removeEventListener("dragleave", leave);
      removeEventListener("drop", drop);
      removeEventListener("paste", paste);
    };
  });
  return dragging;
}
