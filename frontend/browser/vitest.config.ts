import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ["*.test.ts"],
    // One server and one browser at a time: the machine may be small.
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 300_000,
    bail: 0,
  },
});
