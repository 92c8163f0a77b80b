// Makes the site of ../docs. The pages are Markdown as a forge shows it, with nothing in
// them that only this knows: links are relative, and what a page is called is its heading.
import fs from "node:fs";
import path from "node:path";
import MarkdownIt from "markdown-it";
import { navigation } from "./navigation.js";
import { layout } from "./layout.js";
import { check } from "./links.js";

const docs = path.resolve(import.meta.dirname, "../docs");
const repository = "https://github.com/bot-bottle/action/blob/main/";

/** The pages below docs, as paths from there. */
function pages(below = "") {
  return fs.readdirSync(path.join(docs, below), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(below, entry.name);
    return entry.isDirectory() ? pages(name) : entry.name.endsWith(".md") ? [name] : [];
  });
}

/** Where a page is on the site. */
const place = (page) => page.replace(/README\.md$/, "index.html").replace(/\.md$/, ".html");

/** What forges, and internal/pages, call a heading in an address. */
const anchor = (words) => words.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-");

/** Turns a link of a page into one of the site, or of the repository where the site has no such page. */
function target(page, link) {
  if (/^([a-z]+:|#)/.test(link)) return link;
  const [file, hash] = link.split("#");
  let to = path.posix.join(path.posix.dirname(page), file);
  if (to.startsWith("..")) return repository + path.posix.join("docs", to) + (hash ? "#" + hash : "");
  if (fs.statSync(path.join(docs, to)).isDirectory()) to = path.posix.join(to, "README.md");
  const from = path.posix.dirname(place(page));
  return path.posix.relative(from, place(to)) + (hash ? "#" + hash : "");
}

/** Markdown as on a forge: tables and bare addresses, no HTML but comments. */
function markdown(page) {
  const md = new MarkdownIt({ html: true, linkify: false });
  md.core.ruler.push("places", (state) => {
    state.tokens.forEach((token, i) => {
      if (token.type === "heading_open") token.attrSet("id", anchor(state.tokens[i + 1].content));
      for (const child of token.children ?? []) {
        const name = { link_open: "href", image: "src" }[child.type];
        if (name) child.attrSet(name, target(page, child.attrGet(name)));
      }
    });
  });
  return md;
}

export default function (eleventy) {
  const all = pages();
  const title = (page) => /^# (.*)$/m.exec(fs.readFileSync(path.join(docs, page), "utf8"))[1].replaceAll("`", "");
  const sections = navigation(all).map((s) => ({ ...s, pages: s.pages.map((p) => ({ page: p, title: title(p) })) }));
  for (const page of all) {
    const body = markdown(page).render(fs.readFileSync(path.join(docs, page), "utf8"));
    const html = layout({ page, title: title(page), body, sections, link: (to) => target(page, path.posix.relative(path.posix.dirname(page), to) || path.posix.basename(to)), source: repository + "docs/" + page });
    eleventy.addTemplate(place(page) + ".11ty.js", { render: () => html, data: { permalink: place(page), eleventyExcludeFromCollections: true } });
  }
  eleventy.addPassthroughCopy({ "../docs/images/*.{png,svg,css}": "images", "style.css": "style.css" });
  eleventy.on("eleventy.after", () => check(path.resolve(import.meta.dirname, "dist")));
  return { dir: { input: "templates", output: "dist" } };
}
