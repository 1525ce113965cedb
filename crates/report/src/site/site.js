// Answers "why is this file here" on the page of an image, from the data that the scripts after this one add.
// What the page shows is in its address, behind the `#`: a path, `?words`, `package=name` or `folder=/path/`.
"use strict";

const FOLDER = -1, SYMLINK = -2, HARD_LINK = -3;
const NONE = -1;
const MOST = 200;

/** What is known of each path: where it is, how large, and why. */
const paths = new Map();
/** The rule that left a path out. */
const dropped = new Map();

/** Paths are written as how much they share with the one before, and the rest. */
function unpack(entries, each) {
  let path = "";
  for (const [shared, rest, ...values] of entries) {
    path = path.slice(0, shared) + rest;
    each(path, values);
  }
}

/** Called by every script with data. */
function add(data) {
  if (data.dropped) {
    unpack(data.dropped, (path, [rule]) => dropped.set(path, data.rules[rule]));
    return;
  }
  const names = [];
  unpack(data.entries, (path) => names.push(path));
  unpack(data.entries, (path, [kind, packaged, reason, from]) => paths.set(path, {
    layer: data.layer,
    kind,
    package: packaged === NONE ? "" : data.packages[packaged],
    because: data.reasons[reason],
    from: from === NONE ? null : from > NONE ? names[from] : data.others[NONE - 1 - from],
  }));
}

function size(bytes) {
  if (bytes < 1e3) return `${bytes} bytes`;
  return bytes < 950e3 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function kind(entry) {
  switch (entry.kind) {
    case FOLDER: return "a folder";
    case SYMLINK: return "a link";
    case HARD_LINK: return "another name of a file";
    default: return size(entry.kind);
  }
}

function element(name, ...content) {
  const made = document.createElement(name);
  made.append(...content);
  return made;
}

function link(target, text) {
  const made = element("a", text);
  made.href = "#" + encodeURI(target);
  return made;
}

/** The reasons of a path, back to a root. */
function chain(path) {
  const steps = element("ol");
  const seen = new Set();
  for (let at = path; at !== null && paths.has(at) && !seen.has(at); at = paths.get(at).from) {
    seen.add(at);
    const { because, from } = paths.get(at);
    steps.append(from === null
      ? element("li", paths.get(at).because)
      : element("li", because, " of ", link(from, from)));
  }
  return steps;
}

function explain(path) {
  const entry = paths.get(path);
  if (entry) {
    const of = entry.package ? [", from package ", link("package=" + entry.package, entry.package)] : [];
    return [element("p", element("b", path), `: ${kind(entry)} in the layer ${entry.layer}`, ...of), chain(path)];
  }
  if (dropped.has(path)) {
    return [element("p", element("b", path), " is left out by the rule ", link("rules", dropped.get(path)))];
  }
  return [element("p", element("b", path), " is not in the image.")];
}

/** The paths for which something holds, with a line that says how many there are. */
function list(holds, words) {
  const found = [...paths.keys()].filter(holds).sort();
  const without = [...dropped.keys()].filter(holds).sort();
  const items = element("ul", ...found.slice(0, MOST).map((path) =>
    element("li", link(path, path), " ", kind(paths.get(path)))));
  const left = element("ul", ...without.slice(0, MOST).map((path) =>
    element("li", link(path, path), " left out by ", dropped.get(path))));
  const shown = (all) => all > MOST ? `, of which these are the first ${MOST}` : "";
  const lines = [element("p", `${found.length} in the image ${words}${shown(found.length)}`), items];
  return without.length ? [...lines, element("p", `${without.length} left out${shown(without.length)}`), left] : lines;
}

function words(text) {
  const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
  return (path) => parts.every((part) => path.toLowerCase().includes(part));
}

/** Shows what the address asks for. */
function show() {
  let asked;
  try {
    asked = decodeURIComponent(location.hash.slice(1));
  } catch {
    asked = location.hash.slice(1);
  }
  const answer = document.getElementById("answer");
  const [, key, value] = /^(package|folder)=(.*)$/s.exec(asked) ?? [];
  if (asked.startsWith("/")) {
    answer.replaceChildren(...explain(asked));
  } else if (asked.startsWith("?")) {
    document.getElementById("query").value = asked.slice(1);
    answer.replaceChildren(...list(words(asked.slice(1)), `with “${asked.slice(1)}”`));
  } else if (key === "package") {
    answer.replaceChildren(...list((path) => paths.get(path)?.package === value, value ? `from ${value}` : "from no package"));
  } else if (key === "folder") {
    answer.replaceChildren(...list((path) => path.startsWith(value), `below ${value}`));
  } else {
    if (!asked) answer.replaceChildren();
    return;
  }
  document.getElementById("why").scrollIntoView();
}

document.addEventListener("DOMContentLoaded", () => {
  const query = document.getElementById("query");
  query.form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = query.value.trim();
    location.hash = text.startsWith("/") && (paths.has(text) || dropped.has(text)) ? encodeURI(text) : "?" + encodeURIComponent(text);
  });
  query.addEventListener("input", () => {
    const text = query.value.trim();
    document.getElementById("answer").replaceChildren(...(text ? list(words(text), `with “${text}”`) : []));
  });
  addEventListener("hashchange", show);
  show();
});
