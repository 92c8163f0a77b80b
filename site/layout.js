const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);

/** One page: no script, one style sheet, nothing from elsewhere. */
export function layout({ page, title, body, sections, link, source }) {
  const up = "../".repeat(page.split("/").length - 1);
  const item = (p) => (p.page === page ? `<li aria-current="page">${escape(p.title)}</li>` : `<li><a href="${link(p.page)}">${escape(p.title)}</a></li>`);
  const section = (s) => `<details${s.pages.length < 9 || s.pages.some((p) => p.page === page) ? " open" : ""}><summary>${s.name}</summary><ul>${s.pages.map(item).join("")}</ul></details>`;
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} · bot-bottle</title>
<link rel="stylesheet" href="${up}style.css">
<nav aria-label="Pages"><p><a href="${link("README.md")}"><b>bot-bottle</b></a></p>
${sections.map(section).join("\n")}
</nav>
<main>
${body}
<footer><a href="${source}">The source of this page</a></footer>
</main>
</html>
`;
}
