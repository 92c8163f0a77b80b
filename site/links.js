import fs from "node:fs";
import path from "node:path";

/** The attributes of a page that lead somewhere on the site. */
const inner = (html) => [...html.matchAll(/ (?:href|src)="([^"]*)"/g)].map((m) => m[1]).filter((to) => !/^[a-z]+:/.test(to));

/** Follows each link of the site in folder; one that leads nowhere ends the build. */
export function check(folder) {
  const files = fs.readdirSync(folder, { recursive: true }).map(String);
  const ids = new Map();
  const text = (file) => fs.readFileSync(path.join(folder, file), "utf8");
  for (const file of files.filter((f) => f.endsWith(".html"))) {
    ids.set(file, new Set([...text(file).matchAll(/ id="([^"]*)"/g)].map((m) => m[1])));
  }
  let followed = 0;
  const dead = [];
  for (const file of ids.keys()) {
    for (const to of inner(text(file))) {
      const [name, hash] = decodeURI(to).split("#");
      const target = name ? path.posix.join(path.posix.dirname(file), name) : file;
      followed++;
      if (!files.includes(target) || (hash && !ids.get(target)?.has(hash))) dead.push(`${file}: ${to}`);
    }
  }
  if (dead.length > 0 || followed === 0) throw new Error(`links that lead nowhere:\n${dead.join("\n")}`);
  console.log(`${ids.size} pages, ${followed} links followed`);
}
