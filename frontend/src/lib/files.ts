/** Hands a file to the browser's downloads. */
export function save(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  // Some browsers read it a moment later.
  setTimeout(() => URL.revokeObjectURL(url), 30_000);
}

/** Whether this browser has a share sheet that takes such a file. */
export function canShare(type: string, name: string): boolean {
  // Not there without https, whatever the types say.
  const share = (navigator as Partial<Navigator>).canShare;
  return share?.call(navigator, { files: [new File([], name, { type })] }) ?? false;
}

/** false: the person closed the sheet. */
export async function share(blob: Blob, name: string): Promise<boolean> {
  try {
    await navigator.share({ files: [new File([blob], name, { type: blob.type })] });
    return true;
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return false;
    throw error;
  }
}
