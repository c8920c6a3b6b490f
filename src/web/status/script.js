"use strict";
// The page works without this. It fetches the page again from time to time and while words are typed, and works what
// is new into what stands there, so that scroll, focus, selection and folds stay where they are.
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

  // What was folded or unfolded by hand, by element; forgotten once the server thinks otherwise of the element.
  const FOLDS = "folds " + location.pathname;
  let folds = {};
  try {
    folds = JSON.parse(sessionStorage.getItem(FOLDS)) || {};
  } catch {
    // No storage, or not ours: no folds to remember.
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

  // Makes `old` equal to `fresh`, touching only what differs.
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

  // The first element with an id that is in sight, and where it is.
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
    if (!part) throw new Error("the answer is another page");
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
      if (!answer.ok) throw new Error("the exporter answered " + answer.status);
      const text = await answer.text();
      if (request !== mine) return;
      show(text);
      stale.textContent = "";
    } catch (error) {
      if (request !== mine) return;
      const why = error.name === "AbortError" || error.name === "TypeError" ? "the exporter does not answer" : error.message;
      const seen = main.querySelector(".asof time");
      stale.textContent = "Not refreshed: " + why + ". What you see is " + (seen ? "of " + seen.dateTime : "old") + ".";
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
      // The click has not turned it yet.
      const details = summary.parentNode;
      folds[key(details)] = { open: !details.open, served: isAsServed(details) };
      try {
        sessionStorage.setItem(FOLDS, JSON.stringify(folds));
      } catch {
        // Folds are kept as long as the page is.
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
      // Browsers give the clipboard to pages on HTTPS or on this machine only.
      done = "Selected";
    }
    button.textContent = done;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  // Offsets are kept by hand, in all browsers alike.
  document.documentElement.style.overflowAnchor = "none";
  document.documentElement.classList.add("js");
  unfold(main);
  // Whoever comes for a text to send finds it unfolded.
  const aim = location.hash && byId(location.hash.slice(1));
  const fold = aim && aim.querySelector("details.request");
  if (fold) fold.open = true;
  plan();
})();
