// A picture or a sound of one's own: dropped anywhere on the page, or chosen by a button.

import { el } from "./dom.js";

const KINDS = { pictures: ["image/*", "a picture"], sound: ["audio/*", "a sound"] };
const megabytes = (bytes) => `${(bytes / (1 << 20)).toFixed(bytes < 10 * (1 << 20) ? 1 : 0)} MB`;

// `take` is given each file that is small enough; what is refused is said.
export function receive(form, { reads, largest }, take, say) {
  const [accept, what] = KINDS[reads];
  const own = el("input", { type: "file", accept, class: "file", "aria-label": `Choose ${what} of your own`, title: `Choose ${what}, or drop one anywhere on the page` });
  function given(files) {
    const [file] = files;
    if (!file) return say(`That is no file: drop ${what} from a folder.`, true);
    if (file.size > largest) return say(`${file.name} has ${megabytes(file.size)}, and ${megabytes(largest)} are taken at most: make it smaller, or write its path above.`, true);
    if (files.length > 1) say("One at a time: the first is taken.");
    return take(file);
  }
  own.addEventListener("change", () => {
    if (own.files.length) given(own.files);
    own.value = ""; // the same one may be chosen again
  });
  form.append(own);
  let depth = 0; // of elements that are dragged over
  const over = (change) => {
    depth = change === null ? 0 : Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  const brings = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragenter", (event) => brings(event) && over(1));
  document.addEventListener("dragleave", (event) => brings(event) && over(-1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser leaves the page for it
    over(null);
    given(event.dataTransfer.files);
  });
}
