"use strict";
// What the scripts of all pages begin with. Everything shown comes from the JSON; texts are set as text,
// never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => element("option", { value }, text)));
}
function list(facts) {
  const made = element("dl");
  for (const [key, value] of Object.entries(facts)) {
    if (value === null || value === undefined || value === "") continue;
    made.append(element("dt", {}, key), element("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value)));
  }
  return made;
}
// A name that is too long, without its middle: rows differ in their ends
function cut(name, most) {
  return name.length <= most ? name : `${name.slice(0, 12)}…${name.slice(name.length - most + 13)}`;
}
