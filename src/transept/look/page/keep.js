// The keyboard's place on the page, which is drawn anew with every change: the same element has it again afterwards.

const called = (node) => `${node.localName} ${node.dataset.plays ?? node.getAttribute("aria-label") ?? node.textContent}`;
const alike = (zone, name) => [...zone.querySelectorAll("button, input, select, summary, canvas, [tabindex]")].filter((one) => called(one) === name);

// Which element of these parts has it now: give it back with `restored`, once they are drawn.
export function held(zones) {
  const node = document.activeElement;
  const zone = zones.find((one) => one !== node && one.contains(node));
  if (!zone) return null;
  const name = called(node);
  return { zone, name, nth: alike(zone, name).indexOf(node) };
}

// `at` is what stands in its place, once nothing is called so any more; null: wait, it may come yet.
export function restored(place, at = null) {
  if (place === null || document.activeElement !== document.body) return; // somebody went elsewhere meanwhile
  const found = alike(place.zone, place.name);
  (found[place.nth] ?? found[0] ?? at)?.focus({ preventScroll: true });
}

// Tabs: one of them is reached by Tab, the arrows go from one to the next, Enter shows it.
export function roving(list) {
  list.addEventListener("keydown", (event) => {
    const tabs = [...list.children];
    const here = tabs.indexOf(event.target);
    const next = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (next === undefined || here < 0) return;
    tabs.forEach((tab) => (tab.tabIndex = -1));
    const one = tabs[(next + tabs.length) % tabs.length];
    one.tabIndex = 0;
    one.focus();
    event.preventDefault();
  });
}
