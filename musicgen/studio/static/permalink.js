/**
 * All settings and the seed in the address: "#kind=generate&seed=7&take=2&key=D&rhythm=jig".
 * A tune that was changed by hand has no seed; its link holds the music itself: "#kind=tune&abc=".
 */

const KINDS = ["generate", "continue", "infill", "vary", "tune"];
// What a request has beside its groups of fields. "bars" is a control too: of a new tune.
const OWN = ["seed", "number", "abc", "bars", "similarity"];

/** The link of a request, or of one take of it, as an absolute address. */
export function linkOf({ request, take = null }) {
  const { controls = {}, sampling = {}, selection = {}, ...own } = request;
  const shown = take === null ? {} : { take: take + 1 };
  return address({ ...own, ...shown, ...sampling, ...selection, ...controls });
}

/** The link of a tune as it stands. */
export function linkOfTune(abc) {
  return address({ kind: "tune", abc });
}

function address(values) {
  const fields = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== null && value !== undefined && value !== "") fields.set(name, value);
  }
  const here = new URL(location.href);
  here.search = "";
  here.hash = fields.toString();
  return here.href;
}

/**
 * What a link asks for: {request, take}, or null for one of no request. `fields` are those of
 * /api/choices: the group and kind of each control.
 */
export function read(hash, fields) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const kind = given.get("kind");
  if (!KINDS.includes(kind)) return null;
  const request = { kind, controls: {}, sampling: {}, selection: {} };
  for (const [name, text] of given) {
    const field = fields.find((one) => one.name === name);
    const control = field && !(name === "bars" && kind !== "generate");
    if (control) request[field.group][name] = typed(text, field.kind);
    else if (OWN.includes(name)) request[name] = typed(text, numeric(name) ? "integer" : "text");
  }
  return { request, take: Math.max(0, (Number.parseInt(given.get("take"), 10) || 1) - 1) };
}

function numeric(name) {
  return name === "seed" || name === "number";
}

function typed(text, kind) {
  if (kind === "flag") return text === "true";
  const number = (kind === "integer" || kind === "number") && text.trim() !== "";
  return number && Number.isFinite(Number(text)) ? Number(text) : text;
}
