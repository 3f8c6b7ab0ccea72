// Keeps the app's shell, so that it opens without a network. Photos, results and everything of the service's are
// none of its business.
declare const self: ServiceWorkerGlobalScope;

// Both are put in when the app is built.
const SHELL_CACHE = "shell-__VERSION__";
const SHELL = "__SHELL__" as unknown as readonly string[];

self.addEventListener("install", (event) => {
  const fresh = SHELL.map((path) => new Request(path, { cache: "reload" }));
  event.waitUntil(caches.open(SHELL_CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(dropOldShells().then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") void self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !isOfShell(new URL(request.url))) return;
  event.respondWith(fromShell(request));
});

function isOfShell(url: URL): boolean {
  return SHELL.some((path) => {
    const known = new URL(path, self.registration.scope);
    return known.origin === url.origin && known.pathname === url.pathname;
  });
}

async function fromShell(request: Request): Promise<Response> {
  const cache = await caches.open(SHELL_CACHE);
  const kept = await cache.match(request.mode === "navigate" ? "./" : request, { ignoreSearch: true });
  return kept ?? (await fetch(request));
}

async function dropOldShells(): Promise<void> {
  const names = await caches.keys();
  const old = names.filter((name) => name.startsWith("shell-") && name !== SHELL_CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

export {};
