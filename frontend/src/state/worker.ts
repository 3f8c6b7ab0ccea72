/**
 * Registers the service worker, which keeps the app's shell for when there is no network. Returns what takes a new
 * version: it waits until the person agrees, since a page must not change under somebody's hands.
 */
export function registerWorker(onUpdate: () => void): () => void {
  // Missing on a plain-http address of the local network: the app then needs the server at hand.
  const workers = (navigator as Partial<Navigator>).serviceWorker;
  if (workers === undefined || !import.meta.env.PROD) return () => location.reload();
  let waiting: ServiceWorker | null = null;
  let served = workers.controller !== null;
  let accepted = false;
  workers.addEventListener("controllerchange", () => {
    if (accepted) location.reload();
    // Another tab took the new version; this one asks before it changes. The very first changes nothing.
    else if (served) onUpdate();
    served = true;
  });
  const found = (worker: ServiceWorker): void => {
    waiting = worker;
    if (served) onUpdate();
  };
  workers
    .register("sw.js")
    .then((registration) => {
      if (registration.waiting !== null) found(registration.waiting);
      registration.addEventListener("updatefound", () => {
        const worker = registration.installing;
        worker?.addEventListener("statechange", () => {
          if (worker.state === "installed") found(worker);
        });
      });
      document.addEventListener("visibilitychange", () => {
        if (document.visibilityState === "visible") registration.update().catch(() => undefined);
      });
    })
    .catch(() => undefined);
  return () => {
    // One that another tab has let in waits no more: this page only has to follow.
    if (waiting?.state !== "installed") location.reload();
    else waiting.postMessage("take over");
    accepted = true;
  };
}
