import { defineConfig } from "vitest/config";

// Names carry a hash and are kept for ever; index.html is asked for anew each time. Addresses are relative, and the
// gateway writes <base href> into index.html: the page works below any path. No data: addresses, so that the policy
// needs none for scripts, styles and fonts.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "build",
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: false,
    cssCodeSplit: false,
    reportCompressedSize: true,
    // What several pages use is one file beside the program, not a dozen that are found one after the other.
    rolldownOptions: {
      output: { codeSplitting: { groups: [{ name: "shared", test: /\/src\/(?!page\/)|preact|signals/, minShareCount: 3 }] } },
    },
  },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
