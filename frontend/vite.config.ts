import { createHash } from "node:crypto";
import { defineConfig, type Plugin } from "vite";

/** Builds the service worker beside the app, and tells it what the shell is made of. */
function serviceWorker(): Plugin {
  return {
    name: "service-worker",
    apply: "build",
    buildStart() {
      this.emitFile({ type: "chunk", id: "service-worker/sw.ts", fileName: "sw.js" });
    },
    generateBundle(_options, bundle) {
      const worker = bundle["sw.js"];
      if (worker?.type !== "chunk") throw new Error("the service worker was not built");
      const assets = Object.keys(bundle).filter((name) => name.startsWith("assets/"));
      const page = bundle["index.html"];
      const version = createHash("sha256")
        .update(JSON.stringify(assets))
        .update(page?.type === "asset" ? page.source : "")
        .digest("hex")
        .slice(0, 12);
      worker.code = worker.code
        .replace("__VERSION__", version)
        .replace(
          /["'`]__SHELL__["'`]/,
          JSON.stringify(["./", ...assets, "icon.svg", "manifest.webmanifest"]),
        );
    },
  };
}

export default defineConfig({
  // Wherever a proxy puts it.
  base: "./",
  plugins: [serviceWorker()],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    target: ["chrome100", "safari15.4", "firefox100"],
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": "http://127.0.0.1:8000", "/docs": "http://127.0.0.1:8000" } },
});
