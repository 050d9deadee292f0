/** Take a tune away: every format, a link, the clipboard. */

import { exported } from "./api.js";
import { announce, button, el, icon, toast } from "./elements.js";
import { settings } from "./state.js";

const NAMES = { abc: "ABC", mid: "MIDI", musicxml: "MusicXML", svg: "SVG score", pdf: "PDF score",
  png: "PNG score", wav: "WAV recording", mp3: "MP3 recording", ogg: "Ogg recording",
  flac: "FLAC recording", zip: "All as a zip" };
const SOUNDING = new Set(["mid", "wav", "mp3", "ogg", "flac", "zip"]);

/** A menu of formats. `chosen` answers the ABC and its permalink when something is asked for. */
export function takeawayMenu(formats, chosen, { label = "Take away" } = {}) {
  const list = el("div", { class: "sheet" });
  const menu = el("details", { class: "menu" },
    el("summary", { title: label }, icon("take"), el("span", {}, label)), list);
  for (const format of formats) {
    list.append(button(NAMES[format] ?? format.toUpperCase(), () => {
      close(menu);
      return download(chosen().abc, format);
    }, { "data-format": format }));
  }
  list.append(el("hr"),
    button("Copy link", () => { close(menu); copy(chosen().link, "The link"); }, { picture: "link" }),
    button("Copy ABC", () => { close(menu); copy(chosen().abc, "The ABC text"); }));
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !menu.open) return;
    event.stopPropagation();
    close(menu);
  });
  return menu;
}

/** Menus close when something else is clicked; called once. */
export function closeMenusOutside() {
  document.addEventListener("click", (event) => {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (!menu.contains(event.target)) menu.open = false;
    }
  });
}

/** Have tunes made into a file and saved by the browser. */
export async function download(abc, format) {
  announce(`Preparing ${NAMES[format] ?? format}`);
  try {
    const instrument = SOUNDING.has(format) ? settings.get("instrument") : null;
    const { blob, name } = await exported(abc, format, instrument);
    const address = URL.createObjectURL(blob);
    const link = el("a", { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    announce(`${name} is saved`);
  } catch (error) {
    toast(error.message);
  }
}

export async function copy(text, what) {
  const copied = navigator.clipboard ? await navigator.clipboard.writeText(text)
    .then(() => true, () => false) : copiedByHand(text);
  toast(copied ? `${what} is copied.` : `${what} cannot be copied by this browser.`);
}

/** Where the page comes from another machine without encryption, there is no clipboard object. */
function copiedByHand(text) {
  const area = el("textarea", { class: "sr" });
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}

function close(menu) {
  menu.open = false;
  menu.querySelector("summary").focus();
}
