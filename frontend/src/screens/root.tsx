import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { TabBar } from "../components/tab-bar";
import { Toast } from "../components/toast";
import { UpdateBanner } from "../components/update-banner";
import { useApp, useSelect, useText } from "../state/context";
import { go, type Route } from "../state/route";
import { CaptureScreen } from "./capture-screen";
import { HistoryScreen } from "./history-screen";
import { SettingsScreen } from "./settings-screen";
import { StatusScreen } from "./status-screen";
import { useOfferedPhotos } from "./use-offered-photos";
import { WallScreen } from "./wall-screen";

/** `--ground` of each theme. */
const GROUNDS = { light: "#f4f2ed", dark: "#131415" };

/** The screen of the route, and what lies around every screen. */
export function Root(): JSX.Element {
  const app = useApp();
  const text = useText();
  const route = useSelect((state) => state.route);
  const notice = useSelect((state) => state.notice);
  const updateReady = useSelect((state) => state.updateReady);
  const online = useSelect((state) => state.online);
  usePageSettings();
  // Elsewhere the browser would leave the app for the file.
  const take = (file: File): void => go({ at: "wall", id: app.analyses.begin(file, null), mode: "explore" });
  const dragging = useOfferedPhotos(route.at === "capture" ? null : take);
  useFocusOnScreen(route);
  return (
    <>
      <a
        class="skip-link"
        href="#main"
        onClick={(event) => {
          // The hash is the route: the jump is made by hand.
          event.preventDefault();
          document.getElementById("main")?.focus();
        }}
      >
        {text.common.skip}
      </a>
      {/* Live regions are always there: one that comes with its words is not read out. */}
      <div role="status" class={route.at === "wall" ? "offline-place floats" : "offline-place"}>
        {!online && <p class="offline-line">{text.offline}</p>}
      </div>
      <Screen route={route} />
      {dragging && <p class="drop-over">{text.capture.drop}</p>}
      {route.at !== "wall" && <TabBar at={route.at === "status" ? "settings" : route.at} text={text} />}
      <div role="status">
        {updateReady && <UpdateBanner text={text} onUpdate={app.update} onLater={app.later} />}
      </div>
      <Toast words={notice?.text ?? null} />
    </>
  );
}

function Screen({ route }: { route: Route }): JSX.Element {
  switch (route.at) {
    case "capture":
      return <CaptureScreen />;
    case "wall":
      return <WallScreen key={route.id} id={route.id} mode={route.mode} />;
    case "history":
      return <HistoryScreen />;
    case "settings":
      return <SettingsScreen />;
    case "status":
      return <StatusScreen />;
  }
}

/** Language and theme belong to the page as a whole. */
function usePageSettings(): void {
  const { language, theme } = useSelect((state) => state.settings);
  useEffect(() => {
    const page = document.documentElement;
    page.lang = language;
    page.dataset["theme"] = theme;
    // What lies around the page, such as a phone's status bar, is of the ground's colour.
    for (const meta of document.querySelectorAll<HTMLMetaElement>("meta[name=theme-color]")) {
      meta.dataset["system"] ??= meta.content;
      meta.content = theme === "system" ? (meta.dataset["system"] ?? "") : GROUNDS[theme];
    }
  }, [language, theme]);
}

/** A new screen takes the focus, so that keys and screen readers begin at its top. */
function useFocusOnScreen(route: Route): void {
  const before = useRef(route);
  const text = useText();
  useEffect(() => {
    const titles = { capture: text.tabs.capture, wall: text.wall.photo, history: text.tabs.history };
    const title = { ...titles, settings: text.tabs.settings, status: text.status.title }[route.at];
    document.title = `${title} · ${text.appName}`;
    if (placeOf(before.current) !== placeOf(route))
      document.getElementById("main")?.focus({ preventScroll: true });
    if (before.current !== route) scrollTo(0, 0);
    before.current = route;
  }, [route, text]);
}

/** Looking at a wall and correcting it are one place. */
function placeOf(route: Route): string {
  return route.at === "wall" ? route.id : route.at;
}
