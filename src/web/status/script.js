"use strict";
// The page works without this script. It fetches the page periodically and while the filter is typed, and changes only
// what differs, so that scroll position, focus, selection and collapsed state are kept.
(() => {
  const PERIOD = 20000;
  const PATIENCE = 15000;
  const TYPING = 200;
  const byId = (id) => document.getElementById(id);
  const main = byId("main");
  const stale = byId("stale");
  const pause = byId("pause");
  const search = byId("search");
  let timer = 0;
  let typing = 0;
  let request = null;

  // What the user collapsed or expanded, by element; forgotten when the server changes the default of the element.
  const FOLDS = "folds " + location.pathname;
  let folds = {};
  try {
    folds = JSON.parse(sessionStorage.getItem(FOLDS)) || {};
  } catch {
    // No storage, or invalid content: nothing to restore.
  }
  const key = (details) => details.id || (details.closest("[id]") || main).id;
  const isAsServed = (details) => details.hasAttribute("data-open");
  const refold = (details) => {
    const fold = folds[key(details)];
    if (fold && fold.served === isAsServed(details)) details.open = fold.open;
  };

  const unfold = (element) => {
    if (element.nodeName === "DETAILS") refold(element);
    element.querySelectorAll("details").forEach(refold);
  };

  // Makes `old` equal to `fresh`, changing only what differs.
  const morph = (old, fresh) => {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== fresh.data) old.data = fresh.data;
      return;
    }
    const isFold = old.nodeName === "DETAILS";
    const turned = isFold && isAsServed(old) !== isAsServed(fresh);
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !(isFold && name === "open")) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value && !(isFold && name === "open")) old.setAttribute(name, value);
    }
    if (turned) {
      delete folds[key(old)];
      old.open = fresh.open;
    }
    let at = old.firstChild;
    for (const want of [...fresh.childNodes]) {
      let match = at;
      if (want.id) {
        const known = byId(want.id);
        match = known && known.parentNode === old ? known : null;
      }
      if (match && match.nodeName === want.nodeName && (match.id || "") === (want.id || "")) {
        if (match === at) at = at.nextSibling;
        else old.insertBefore(match, at);
        morph(match, want);
      } else {
        const added = document.importNode(want, true);
        old.insertBefore(added, at);
        if (added.nodeType === Node.ELEMENT_NODE) unfold(added);
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  };

  // The first visible element with an id, and its position.
  const landmark = () => {
    if (scrollY === 0) return null;
    for (const element of main.querySelectorAll(".target, article, section")) {
      const box = element.getBoundingClientRect();
      if (element.id && box.bottom > 0) return { id: element.id, top: box.top };
    }
    return null;
  };

  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const part = fresh.getElementById("main");
    if (!part) throw new Error("unexpected response");
    const mark = landmark();
    const focus = document.activeElement;
    morph(main, part);
    if (focus && focus !== document.activeElement && focus.isConnected) focus.focus({ preventScroll: true });
    const found = mark && byId(mark.id);
    if (found) {
      scrollBy({ top: found.getBoundingClientRect().top - mark.top, behavior: "instant" });
    }
    document.title = fresh.title;
  };

  const load = async () => {
    clearTimeout(timer);
    if (request) request.abort();
    const mine = new AbortController();
    request = mine;
    const cut = setTimeout(() => mine.abort(), PATIENCE);
    try {
      const answer = await fetch(location.pathname + location.search, { cache: "no-store", signal: mine.signal });
      if (!answer.ok) throw new Error("HTTP status " + answer.status);
      const text = await answer.text();
      if (request !== mine) return;
      show(text);
      stale.textContent = "";
    } catch (error) {
      if (request !== mine) return;
      const why = error.name === "AbortError" || error.name === "TypeError" ? "the exporter is not responding" : error.message;
      const seen = main.querySelector(".asof time");
      stale.textContent = "Refresh failed: " + why + ". Showing data" + (seen ? " as of " + seen.dateTime : " from before") + ".";
    } finally {
      clearTimeout(cut);
      if (request === mine) {
        request = null;
        plan();
      }
    }
  };

  const isPaused = () => pause.getAttribute("aria-pressed") === "true";
  const plan = () => {
    clearTimeout(timer);
    if (!document.hidden && !isPaused()) timer = setTimeout(load, PERIOD);
  };

  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()));
    if (isPaused()) clearTimeout(timer);
    else load();
  });
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || isPaused()) clearTimeout(timer);
    else load();
  });

  if (search) {
    const find = () => {
      clearTimeout(typing);
      const query = new URLSearchParams();
      for (const [name, value] of new FormData(search)) if (value) query.set(name, value);
      const text = query.toString();
      history.replaceState(null, "", location.pathname + (text && "?" + text));
      load();
    };
    search.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(find, TYPING);
    });
    search.addEventListener("submit", (event) => {
      event.preventDefault();
      find();
    });
  }

  main.addEventListener("click", (event) => {
    const summary = event.target.closest("summary");
    if (summary) {
      // The click has not toggled it yet.
      const details = summary.parentNode;
      folds[key(details)] = { open: !details.open, served: isAsServed(details) };
      try {
        sessionStorage.setItem(FOLDS, JSON.stringify(folds));
      } catch {
        // Without storage, the state lasts as long as the page.
      }
      return;
    }
    const button = event.target.closest("button[data-copy]");
    if (button) copy(button, byId(button.dataset.copy));
  });

  const copy = async (button, source) => {
    getSelection().selectAllChildren(source);
    let done = "Copied";
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      // Browsers allow the clipboard on HTTPS and localhost only.
      done = "Selected";
    }
    button.textContent = done;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  // The script keeps the scroll position itself, in all browsers alike.
  document.documentElement.style.overflowAnchor = "none";
  document.documentElement.classList.add("js");
  unfold(main);
  // A link to a request expands it.
  const aim = location.hash && byId(location.hash.slice(1));
  const fold = aim && aim.querySelector("details.request");
  if (fold) fold.open = true;
  plan();
})();
