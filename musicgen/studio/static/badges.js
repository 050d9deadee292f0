/** What is said of a tune in a word or a number, each with its explanation. */

import { el, freshId } from "./elements.js";

// What the server says of novelty, in a word and a sentence.
const VERDICTS = {
  new: ["new", "No tune of the corpus is close to it."],
  related: ["related", "It resembles a tune of the corpus."],
  copy: ["copy", "It is nearly a tune of the corpus."],
  "too short to tell": ["short", "Too short to compare with the corpus."],
};

/** Badges of a tune: how new it is, how likely the model found it. */
export function badgesOf(tune) {
  const badges = [];
  if (tune.novelty) {
    const { verdict, nearest = [], copied_bars: bars = 0 } = tune.novelty;
    const [word, meaning] = VERDICTS[verdict] ?? [verdict, ""];
    const like = nearest[0]
      ? ` Nearest: ${nearest[0].title}, ${Math.round(100 * nearest[0].similarity)} % alike;`
        + ` ${bars} bars in a row shared.` : "";
    badges.push(badge(word, meaning + like, `novelty ${word}`));
  }
  if (Number.isFinite(tune.likelihood_bits)) {
    badges.push(badge(`${tune.likelihood_bits.toFixed(2)} bits`,
      "How unexpected the model found it, in bits a note: lower is more expected.", "likelihood"));
  }
  return badges;
}

/** A word with its explanation: on hover, on focus, and to screen readers. */
function badge(word, meaning, name) {
  const tip = el("span", { class: "tip", role: "tooltip", id: freshId("tip") }, meaning);
  return el("span", { class: `badge ${name}`, tabindex: 0, "aria-describedby": tip.id }, word, tip);
}
