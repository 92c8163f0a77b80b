// What stands beside each page. A page that is named here and isn't there yet is left
// out; one that is there and isn't named stands at the end of its folder's section, or of
// the last.
const sections = [
  { name: "Start", pages: ["README.md", "concepts.md", "threat-model.md", "comparison.md"] },
  {
    name: "Set up",
    folder: "setup/",
    pages: ["setup/README.md", "setup/gitea.md", "setup/forgejo.md", "setup/github.md", "setup/debian.md", "setup/nixos.md", "setup/kubernetes.md", "living-on-the-runner.md", "backends.md"],
  },
  { name: "Agents", folder: "agents/", pages: ["agents/README.md", "agents/claude.md", "agents/codex.md", "agents/gemini.md", "agents/command.md"] },
  { name: "Use", pages: ["faq.md", "dlp.md", "budgets.md"] },
  { name: "Look up", folder: "reference/", pages: ["reference/manifest.md", "reference/flags.md", "reference/action.md", "reference/exit-codes.md", "reference/findings.md"] },
  { name: "Decisions", folder: "decisions/", pages: ["decisions/README.md"] },
  { name: "Check", pages: ["escape.md", "mutations.md", "benchmarks.md", "releasing.md", "images/README.md"] },
];

/** Gives the sections with the pages that there are. */
export function navigation(all) {
  const named = new Set(sections.flatMap((s) => s.pages));
  const rest = all.filter((p) => !named.has(p)).sort();
  const result = sections.map((s) => ({ name: s.name, pages: s.pages.filter((p) => all.includes(p)) }));
  for (const page of rest) {
    const at = sections.findIndex((s) => s.folder && page.startsWith(s.folder));
    result.at(at).pages.push(page);
  }
  return result;
}
