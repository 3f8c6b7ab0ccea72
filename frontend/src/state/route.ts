/** Where the person is. Hash routes: the service has one page to serve. */
export type Route =
  | { readonly at: "capture" }
  | { readonly at: "wall"; readonly id: string; readonly mode: "explore" | "correct" }
  | { readonly at: "history" }
  | { readonly at: "settings" }
  | { readonly at: "status" };

export function parseRoute(hash: string): Route {
  const [place = "", id = "", mode = ""] = hash.replace(/^#?\/?/, "").split("/");
  if (place === "wall" && /^[\w-]+$/.test(id)) {
    return { at: "wall", id, mode: mode === "correct" ? "correct" : "explore" };
  }
  if (place === "history" || place === "settings" || place === "status") return { at: place };
  return { at: "capture" };
}

export function hashOf(route: Route): string {
  if (route.at === "capture") return "#/";
  if (route.at === "wall") return `#/wall/${route.id}${route.mode === "correct" ? "/correct" : ""}`;
  return `#/${route.at}`;
}

export function go(route: Route): void {
  location.hash = hashOf(route);
}
